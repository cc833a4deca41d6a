"""Inspection of an image: labels, names, build record, and documents attached to it in registries."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from docker import auth

from build.docker import imagestore
from build.docker.engine import DockerEngine
from build.errors import ImageNotFoundError, RegistryError
from build.host.imagestore import unpacked_bytes
from build.images import record_store
from build.images.resolve import resolve
from build.model.labels import OCI
from build.progress import Progress
from build.registry import referrers, registries
from build.registry.retry import RetryPolicy
from build.settings import Settings


def inspect(settings: Settings, engine: DockerEngine, report: Progress, reference: str) -> dict[str, Any]:
    """Describe a release's image: ID, names, size, labels without their prefixes, build record, attached documents.

    `record` is None if this clone has no record. `attached` lists the documents in each registry that the image was
    pushed to or pulled from; an entry is None if that registry does not answer.

    Raises:
        ImageNotFoundError: there is no such image, or it does not belong to this project.
    """
    release = resolve(settings, engine, report, reference)
    image = engine.image(release.image)
    if image is None:
        raise ImageNotFoundError(f"{release.image} is no longer on the engine", remedy="pull or build it again")
    labels = {
        name.removeprefix(OCI).removeprefix("ai.glm-tts."): value
        for name, value in sorted(image.labels.items())
        if name.startswith((OCI, "ai.glm-tts."))
    }
    known = [record for record in record_store.read(settings.root) if record.image_id == image.id]
    digests: list[str] = image.attrs.get("RepoDigests") or []
    claimed = [claim.reference for claim in imagestore.claims(str(image.id), digests)]
    return {
        "image": image.id,
        "names": [*imagestore.tags(image.tags), *digests],
        "size_bytes": unpacked_bytes(image),
        "labels": labels,
        "record": known[-1].model_dump(mode="json") if known else None,
        "attached": {digest: _attached(engine, report, digest) for digest in claimed},
    }


def _attached(engine: DockerEngine, report: Progress, reference: str) -> list[dict[str, Any]] | None:
    """Type, digest and annotations of each document attached to a `repo@digest`; None if the registry fails."""
    repository, _, digest = reference.partition("@")
    host, name = auth.resolve_repository_name(repository)
    if host == auth.INDEX_NAME and "/" not in name:
        name = f"library/{name}"
    try:
        # Do not retry: the user waits, and the answer is useful without this part.
        found = referrers.attached(registries.connect(engine, host, RetryPolicy(attempts=1)), name, digest)
    except RegistryError as error:
        report.note(f"the documents attached to {reference} are unknown: {error.message}")
        return None
    return [asdict(document) for document in found]
