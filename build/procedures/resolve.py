"""From what the operator wrote (a commit, a tag, a digest, nothing) to the release whose image is on the engine."""

from __future__ import annotations

import re

from docker.auth import resolve_repository_name
from docker.models.images import Image
from docker.utils import parse_repository_tag

from build.decisions import findings
from build.decisions.findings import HostFacts
from build.decisions.history import Release
from build.decisions.names import RELEASE_LABEL, app_repository
from build.drivers import daemon, git, host
from build.drivers.engine import Engine, explained
from build.drivers.patience import Patience
from build.drivers.registry import Registry
from build.errors import CommandFailedError, ImageNotFoundError, RegistryError
from build.procedures.report import Report
from build.settings import Settings

# Disk that an image takes while it is pulled, by the size of its compressed layers: they and what they unpack to.
UNPACKED = 3.5
ONCE = Patience(attempts=1)

SHA = re.compile(r"[0-9a-f]{7,40}(-dirty)?")


def resolve(settings: Settings, engine: Engine, report: Report, reference: str | None) -> Release:
    """The release that `reference` names; without one, that of the clone's HEAD (or of its dirty tree).

    A reference is a commit as git knows it (a SHA, a tag, HEAD~1), an image name with tag or digest, or an image ID.
    What is not on the engine is pulled, before any lock is taken.

    Raises:
        ImageNotFoundError: there is no such image, or it is none of this project's.
    """
    wanted = reference or git.read(settings.root).release
    image = _local(settings, engine, wanted)
    if image is None:
        image = _pulled(engine, report, wanted)
    else:
        _still_there(report, image, wanted)
    if image is None:
        raise ImageNotFoundError(
            f"there is no image for {wanted}",
            remedy="build it from its commit with `python -m build.images`, or name one of `docker images glm-tts-*`",
        )
    release = image.labels.get(RELEASE_LABEL)
    if not release:
        raise ImageNotFoundError(
            f"{wanted} is an image, but no release of this project: it lacks the label {RELEASE_LABEL}",
            remedy="name an image that build.images made",
        )
    return Release(release, _immutable(image, wanted))


def _local(settings: Settings, engine: Engine, wanted: str) -> Image | None:
    repository = app_repository(settings.flavour)
    known = git.commit_of(settings.root, wanted) or wanted
    if not SHA.fullmatch(known):
        return engine.image(wanted)
    sha, dirty, _ = known.partition("-dirty")
    found = {
        image.id: image
        for image in engine.images(repository)
        for tag in image.tags
        if (name := tag.rpartition(":")[2]).startswith(sha) and name.endswith("-dirty") == bool(dirty)
    }
    if len(found) > 1:
        raise ImageNotFoundError(f"{wanted} fits {len(found)} images", remedy="give more digits of the commit")
    return next(iter(found.values()), None) or engine.image(wanted)


def _pulled(engine: Engine, report: Report, wanted: str) -> Image | None:
    """An image from a registry; only names with a registry or a digest can be one."""
    if "/" not in wanted or wanted.startswith("sha256:"):
        return None
    _refuse_unless_it_fits(engine, wanted)
    report.step(f"pulling {wanted}")
    try:
        with explained():
            pulled = engine.client.images.pull(wanted)
    except CommandFailedError as error:
        raise ImageNotFoundError(
            f"{wanted} is neither here nor can it be pulled: {error.message}",
            remedy="see that its registry is reachable, and `docker login` if it wants to know you",
        ) from None
    return pulled if isinstance(pulled, Image) else None


def _refuse_unless_it_fits(engine: Engine, wanted: str) -> None:
    """Raises DiskFullError for an image that the engine has no room for; what cannot be known is left to the pull."""
    root = str(engine.info().get("DockerRootDir", ""))
    local = daemon.is_local()
    registry, name, reference = at_registry(wanted)
    try:
        manifest = registry.manifest(name, reference)
    except RegistryError:
        return
    layers = manifest.parsed.get("layers", []) if manifest else []
    needed = int(UNPACKED * sum(layer["size"] for layer in layers))
    findings.refuse(findings.disk(HostFacts(free_bytes=host.free_bytes(root) if local else None), needed))


def _still_there(report: Report, image: Image, wanted: str) -> None:
    """Says so when a published image cannot be pulled again: it can go live here, and nowhere else."""
    published = _immutable(image, wanted)
    if "@" not in published:
        return
    registry, name, digest = at_registry(published)
    try:
        if not registry.digest(name, digest):
            report.note(f"warning: {registry.host} no longer has {published}: it is here, and cannot be pulled again")
    except RegistryError as error:
        report.note(f"warning: {error.message}; the image is here, so that this does not matter now")


def at_registry(reference: str) -> tuple[Registry, str, str]:
    """The registry of a reference, the repository in it, and the tag or digest."""
    repository, tag = parse_repository_tag(reference)
    address, name = resolve_repository_name(repository)
    return Registry(address, ONCE), name, tag or "latest"


def _immutable(image: Image, wanted: str) -> str:
    """`repo@digest` when the image is known to a registry, the one asked for if there are several; else its ID."""
    digests: list[str] = image.attrs.get("RepoDigests") or []
    repository = wanted.partition("@")[0]
    asked_for = [digest for digest in digests if digest.partition("@")[0] == repository]
    return next(iter(asked_for or digests), str(image.id))
