"""Pins: tags that protect a release's image from the janitor, on the engine and in a registry."""

from __future__ import annotations

import json

from docker.models.images import Image

from build.docker.engine import DockerEngine, convert_errors
from build.docker.imagestore import survives_untagging
from build.errors import ImageNotFoundError, RetentionRefusedError
from build.janitor.host import Scope, repository
from build.janitor.retention import PIN
from build.model.labels import FLAVOUR_LABEL, OCI, app_repository
from build.model.release import Release
from build.registry.client import OCI_MANIFEST, Registry


class Pins:
    """Pins on one engine and, if given, in a registry."""

    def __init__(self, engine: DockerEngine, *, scope: Scope | None = None, registry: Registry | None = None) -> None:
        self._engine = engine
        self._scope = scope or Scope()
        self._registry = registry

    def add(self, release: Release) -> list[str]:
        """Pin a release whose image is on the engine; return the tags created.

        Raises:
            ImageNotFoundError: the engine or the registry does not have the image.
        """
        image = self._image(release)
        pins = [self._local(release, image)]
        if self._registry:
            pins.append(self._pin_remotely(self._registry, release, image))
        with convert_errors():
            image.tag(repository(pins[0]), pins[0].rpartition(":")[2])
        return pins

    def remove(self, release: Release) -> list[str]:
        """Remove the pins of a release; return the tags removed. The image stays until the janitor removes it.

        Raises:
            RetentionRefusedError: the pin is the image's last name, so removing it would delete the image.
            ImageNotFoundError: the release is not pinned.
        """
        image = self._image(release)
        local = self._local(release, image)
        if local in image.tags and not survives_untagging(local, image.tags, image.attrs.get("RepoDigests") or []):
            raise RetentionRefusedError(
                f"{local} is the image's last name: removing it would delete the image",
                remedy=f"run `docker rmi {local}` to delete the image, or give it another tag first",
            )
        removed = [self._unpin_remotely(self._registry, release, image)] if self._registry else []
        if local in image.tags:
            with convert_errors():
                self._engine.client.images.remove(local)
            removed.append(local)
        if not any(removed):
            raise ImageNotFoundError(f"{release} is not pinned", remedy="`python -m build.janitor pins` lists all pins")
        return [name for name in removed if name]

    def all(self) -> list[str]:
        """List all pins by name: the engine's, then the registry's."""
        with convert_errors():
            images = self._engine.client.api.images()
        names = [name for image in images for name in image.get("RepoTags") or []]
        local = [name for name in names if self._scope.role(repository(name)) and PIN in name.rpartition(":")[2]]
        return sorted(local) + (_remote(self._registry) if self._registry else [])

    def _image(self, release: Release) -> Image:
        image = self._engine.image(release.image)
        if image is None:
            raise ImageNotFoundError(f"{release.image} is no longer on the engine", remedy="build or pull it again")
        return image

    def _local(self, release: Release, image: Image) -> str:
        name = f"{_repository(image)}:{PIN}{release}"
        return f"{self._scope.prefix}/{name}" if self._scope.prefix else name

    def _pin_remotely(self, registry: Registry, release: Release, image: Image) -> str:
        """Add the pin tag to the same manifest, so that the registry keeps the digest that is deployed."""
        name, tag = _repository(image), f"{PIN}{release}"
        digest = release.image.partition("@")[2]
        remote_tag = image.labels.get(OCI + "version", release.sha)  # the version in production, otherwise the SHA
        manifest = (registry.manifest(name, digest) if digest else None) or registry.manifest(name, remote_tag)
        if manifest is None:
            raise ImageNotFoundError(
                f"{registry.full(name)} does not have {release}",
                remedy="push it: `python -m build.images --push`",
            )
        registry.put_manifest(name, tag, manifest.body, manifest.media_type)
        return f"{registry.full(name)}:{tag}"

    def _unpin_remotely(self, registry: Registry, release: Release, image: Image) -> str:
        """Move the tag to an empty manifest and delete that, because registries delete manifests but not tags."""
        name, tag = _repository(image), f"{PIN}{release}"
        if not registry.digest(name, tag):
            return ""
        config = registry.put_blob(name, b"{}")
        empty = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [],
            "annotations": {"ai.glm-tts.was": tag},  # unique per tag, so that the deletion affects no other tag
        }
        registry.delete_manifest(name, registry.put_manifest(name, tag, json.dumps(empty).encode(), OCI_MANIFEST))
        return f"{registry.full(name)}:{tag}"


def _repository(image: Image) -> str:
    return app_repository(image.labels.get(FLAVOUR_LABEL, "slim"))


def _remote(registry: Registry) -> list[str]:
    names = [app_repository(flavour) for flavour in ("slim", "cuda")]
    return [f"{registry.full(name)}:{tag}" for name in names for tag in _tags(registry, name) if tag.startswith(PIN)]


def _tags(registry: Registry, name: str) -> list[str]:
    """Tags of a repository; empty if nothing was ever pushed there, which a registry may report as denied."""
    return registry.before_push(name, lambda: registry.tags(name), [])
