"""Survey of the project's images in a registry, and their removal."""

from __future__ import annotations

import json

from build.errors import RegistryError
from build.janitor.host import OCI, ROLES, repository
from build.janitor.retention import ARTIFACT, Location, Role, StoredItem
from build.model.labels import RELEASE_LABEL
from build.model.timestamps import unix
from build.registry.client import Manifest, Registry


class RegistrySurvey:
    """The project's repositories in one registry; tags and labels determine the role of each manifest."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._names = {registry.full(name): name for name in ROLES}

    @property
    def address(self) -> str:
        return self._registry.full("").rstrip("/")

    def has_repository(self, reference: str) -> bool:
        """Whether an image reference names one of these repositories."""
        return repository(reference) in self._names

    def items(self) -> list[StoredItem]:
        """List every tagged manifest: images first, then documents attached to them."""
        found: list[StoredItem] = []
        for name, role in ROLES.items():
            tags: dict[str, list[str]] = {}
            for tag in self._tags(name):
                # An interrupted removal leaves a tag without a manifest.
                if digest := self._registry.digest(name, tag):
                    tags.setdefault(digest, []).append(tag)
            found += [self._item(name, digest, names, role) for digest, names in tags.items()]
        return sorted(found, key=lambda item: item.role is Role.ARTIFACT)

    def _tags(self, name: str) -> list[str]:
        """Tags of a repository; empty if nothing was ever pushed there, which a registry may report as denied."""
        return self._registry.before_push(name, lambda: self._registry.tags(name), [])

    def remove(self, item: StoredItem) -> None:
        """Delete a manifest with its tags and referrers; for an index, also the manifests that it lists."""
        name = self._names[item.repository]
        manifest = self._registry.manifest(name, item.id)
        children = manifest.parsed.get("manifests", []) if manifest else []
        for child in [*children, *(self._registry.referrers(name, item.id) or [])]:
            self._registry.delete_manifest(name, child["digest"])
        self._registry.delete_manifest(name, item.id)

    def _item(self, name: str, digest: str, tags: list[str], role: Role) -> StoredItem:
        where = self._registry.full(name)
        names = (*(f"{where}:{tag}" for tag in tags), f"{where}@{digest}")
        manifest = self._manifest(name, digest)
        if attached := ARTIFACT.fullmatch(tags[0]):
            size = sum(int(child.get("size", 0)) for child in manifest.parsed.get("manifests", []))
            subject = (f"{where}@sha256:{attached[1]}",)
            return StoredItem(Location.REGISTRY, digest, size, 0.0, 0.0, Role.ARTIFACT, names=names, parents=subject)
        if image := manifest.platform_digest:  # an index is represented by one of its images
            manifest = self._manifest(name, image)
        config = json.loads(self._registry.blob(name, manifest.config))
        labels = (config.get("config") or {}).get("Labels") or {}
        built = unix(config.get("created", ""))
        return StoredItem(
            Location.REGISTRY,
            digest,
            size=sum(int(layer["size"]) for layer in manifest.parsed.get("layers", [])),
            created=unix(labels.get(OCI + "created", "")) or built,
            modified=built,
            role=role,
            names=names,
            release=labels.get(RELEASE_LABEL, ""),
            verified=True,  # only verified images are pushed
            parents=tuple(filter(None, (labels.get(OCI + "base.name"), labels.get(OCI + "base.digest")))),
            layers=tuple((config.get("rootfs") or {}).get("diff_ids") or ()),
        )

    def _manifest(self, name: str, digest: str) -> Manifest:
        manifest = self._registry.manifest(name, digest)
        if manifest is None:
            raise RegistryError(
                f"{self._registry.full(name)} lists {digest} but does not have it",
                remedy="run the command again: another process is removing images, or a removal was interrupted",
            )
        return manifest
