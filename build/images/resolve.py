"""Resolver from an operator's reference (commit, tag, digest or nothing) to a release whose image is on the engine."""

from __future__ import annotations

import re

from docker.models.images import Image
from docker.utils import parse_repository_tag

from build.docker import imagestore
from build.docker.engine import DockerEngine, convert_errors
from build.docker.imagestore import RepoDigest
from build.errors import CommandFailedError, ImageNotFoundError, RegistryError
from build.host import findings
from build.host.findings import HostFacts
from build.host.imagestore import free_bytes
from build.model.labels import RELEASE_LABEL, app_repository
from build.model.release import Release
from build.progress import Progress
from build.registry.registries import at_registry
from build.settings import Settings
from build.system import git

# Disk needed for a pull as a multiple of the compressed layers' size: the compressed and the unpacked layers.
UNPACKED = 3.5

SHA = re.compile(r"[0-9a-f]{7,40}(-dirty)?")


def resolve(settings: Settings, engine: DockerEngine, progress: Progress, reference: str | None) -> Release:
    """Resolve a reference to a release; None means the clone's HEAD or dirty tree.

    A reference is a git commit (SHA, tag, HEAD~1), an image name with tag or digest, or an image ID. An image that is
    not on the engine is pulled here, before the cutover acquires its lock.

    Raises:
        ImageNotFoundError: there is no such image, or it does not belong to this project.
        DiskFullError: the engine has no room for the pull.
    """
    requested = reference or git.read(settings.root).release
    image, pulled = _local(settings, engine, requested), False
    if image is None:
        image, pulled = _pulled(engine, progress, requested), True
    if image is None:
        raise ImageNotFoundError(
            f"there is no image for {requested}",
            remedy="build it from its commit with `python -m build.images`, or choose one of `docker images glm-tts-*`",
        )
    release = image.labels.get(RELEASE_LABEL)
    if not release:
        raise ImageNotFoundError(
            f"{requested} is not a release of this project: the image lacks the label {RELEASE_LABEL}",
            remedy="choose an image that `python -m build.images` built",
        )
    return Release(release, _immutable(engine, progress, image, requested, pulled=pulled))


def _local(settings: Settings, engine: DockerEngine, requested: str) -> Image | None:
    repository = app_repository(settings.flavour)
    resolved = git.commit_of(settings.root, requested) or requested
    if not SHA.fullmatch(resolved):
        return engine.image(requested)
    sha, dirty, _ = resolved.partition("-dirty")
    images = [
        (tag, image)
        for image in engine.images(repository)
        for tag in imagestore.tags(image.tags)
        if (name := tag.rpartition(":")[2]).startswith(sha) and name.endswith("-dirty") == bool(dirty)
    ]
    # The newest build has the repository's own tag. An earlier build of the commit may keep the tag of a push.
    own = {image.id: image for tag, image in images if tag.startswith(f"{repository}:")}
    found = own or {image.id: image for _, image in images}
    if len(found) > 1:
        raise ImageNotFoundError(f"{requested} matches {len(found)} images", remedy="give more digits of the commit")
    return next(iter(found.values()), None) or engine.image(requested)


def _pulled(engine: DockerEngine, progress: Progress, requested: str) -> Image | None:
    """Pull an image; None if the name has no registry, so that it cannot be pulled."""
    if "/" not in requested or requested.startswith("sha256:"):
        return None
    _require_room(engine, requested)
    progress.step(f"pulling {requested}")
    try:
        with convert_errors():
            pulled = engine.client.images.pull(requested)
    except CommandFailedError as error:
        raise ImageNotFoundError(
            f"{requested} is not on the engine and cannot be pulled: {error.message}",
            remedy="check that its registry is reachable, and run `docker login` if it requires a login",
        ) from None
    return pulled if isinstance(pulled, Image) else None


def _require_room(engine: DockerEngine, requested: str) -> None:
    """Raise DiskFullError if the engine has no room for an image; do nothing if the registry does not give its size."""
    try:
        registry, name, reference = at_registry(engine, requested)
        manifest = registry.image(name, reference)
    except RegistryError:
        return
    layers = manifest.parsed.get("layers", []) if manifest else []
    needed = int(UNPACKED * sum(layer["size"] for layer in layers))
    findings.refuse(findings.disk(HostFacts(free_bytes=free_bytes(engine)), needed))


def _immutable(engine: DockerEngine, progress: Progress, image: Image, requested: str, *, pulled: bool) -> str:
    """Immutable reference: `repo@digest` if a registry has the image, otherwise the image ID.

    Of several names, the requested repository is preferred. A warning is shown if a published image cannot be pulled
    again, because it can then go live only from this engine.
    """
    digests: list[str] = image.attrs.get("RepoDigests") or []
    for claim in imagestore.claims(str(image.id), digests, parse_repository_tag(requested)[0]):
        if pulled or _is_deployable(engine, progress, claim):
            return claim.reference
    return str(image.id)


def _is_deployable(engine: DockerEngine, progress: Progress, claim: RepoDigest) -> bool:
    """Whether to deploy by this name: false if it comes from a local tag only and the registry lacks the image."""
    published = claim.reference
    try:
        registry, name, digest = at_registry(engine, published)
        if registry.digest(name, digest):
            return True
    except RegistryError as error:
        progress.note(f"warning: {error.message}; using the image on the engine")
        return True
    if claim.certain:
        progress.note(
            f"warning: {registry.host} no longer has {published}: the engine's image is used and cannot be pulled again"
        )
    else:
        progress.note(
            f"warning: {registry.host} does not have {published}: only this engine can deploy it, by image ID"
        )
    return claim.certain
