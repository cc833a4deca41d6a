"""Pins: a release that retention must keep carries a tag that says so, wherever its image lives."""

from __future__ import annotations

from docker.models.images import Image

from build.decisions.history import Release
from build.decisions.names import FLAVOUR_LABEL, app_repository
from build.decisions.retention import PIN
from build.drivers.engine import Engine, explained
from build.errors import CommandFailedError, ImageNotFoundError, RegistryError, RetentionRefusedError
from build.procedures.janitor_host import Scope, repository
from build.procedures.janitor_registry import Store


class Pins:
    """Pins on one engine and, with a `registry` (HOST/PREFIX) and its `store`, in that registry."""

    def __init__(
        self, engine: Engine, *, scope: Scope | None = None, registry: str = "", store: Store | None = None
    ) -> None:
        self._engine = engine
        self._scope = scope or Scope()
        self._registry = registry.strip("/")
        self._store = store

    def add(self, release: Release) -> list[str]:
        """Pins a release whose image is on the engine; returns the tags that do it."""
        image = self._engine.image(release.image)
        if image is None:
            raise ImageNotFoundError(f"{release.image} is not on the engine any more", remedy="pull or build it first")
        made = [self._local(release, image)]
        self._tag(image, made[0])
        if self._registry:
            made.append(self._remote(release, image))
            self._tag(image, made[1])
            self._push(made[1])
        return made

    def remove(self, release: Release) -> list[str]:
        """Takes the pins of a release off; the image stays until the janitor finds no other reason.

        Raises:
            RetentionRefusedError: the pin is the last name of the image, which would go with it.
            ImageNotFoundError: it is not pinned.
        """
        image = self._engine.image(release.image)
        if image is None:
            raise ImageNotFoundError(f"{release.image} is not on the engine any more")
        local = self._local(release, image)
        remote = self._remote(release, image) if self._registry else ""
        ours = {name for name in (local, remote) if name}
        if ours >= set(image.tags) and not image.attrs.get("RepoDigests"):
            raise RetentionRefusedError(
                f"{local} is the image's last name, and the image would go with it",
                remedy=f"`docker rmi {local}` if that is what you want, or give it another tag first",
            )
        gone = [name for name in (local, remote) if name in image.tags]
        if remote and self._unpin_remotely(remote):
            gone = list(dict.fromkeys([*gone, remote]))
        if not gone:
            raise ImageNotFoundError(f"{release} is not pinned", remedy="`python -m build.janitor pins` lists all pins")
        for name in gone:
            if self._engine.image(name):
                with explained():
                    self._engine.client.images.remove(name)
        return gone

    def all(self) -> list[str]:
        """Every pin on the engine, by name."""
        with explained():
            images = self._engine.client.api.images()
        names = [name for image in images for name in image.get("RepoTags") or []]
        return sorted(
            name for name in names if self._scope.role(repository(name)) and name.rpartition(":")[2].startswith(PIN)
        )

    def _name(self, release: Release, image: Image) -> str:
        return f"{app_repository(image.labels.get(FLAVOUR_LABEL, 'slim'))}:{PIN}{release}"

    def _local(self, release: Release, image: Image) -> str:
        name = self._name(release, image)
        return f"{self._scope.prefix}/{name}" if self._scope.prefix else name

    def _remote(self, release: Release, image: Image) -> str:
        return f"{self._registry}/{self._name(release, image)}"

    def _tag(self, image: Image, name: str) -> None:
        with explained():
            image.tag(repository(name), name.rpartition(":")[2])

    def _push(self, name: str) -> None:
        where, _, tag = name.rpartition(":")
        with explained():
            for event in self._engine.client.images.push(where, tag, stream=True, decode=True):
                if "error" in event:
                    raise RegistryError(
                        f"the pin {name} could not be pushed: {event['error']}", remedy="`docker login`, and again"
                    )

    def _unpin_remotely(self, name: str) -> bool:
        """Registries delete manifests, not tags: the tag is moved to an empty image, and that one is deleted."""
        where, _, tag = name.rpartition(":")
        path = where.partition("/")[2]
        if self._store is None or tag not in self._store.tags(path):
            return False
        with explained():
            empty = self._engine.client.api.import_image_from_data(EMPTY_TAR, repository=where, tag=tag)
        if not empty:
            raise CommandFailedError(f"no empty image could be made to move {name} to")
        self._push(name)
        digest, _ = self._store.manifest(path, tag)
        self._store.delete(path, digest)
        return True


# A tar archive without a file: two blocks of zeros.
EMPTY_TAR = bytes(1024)
