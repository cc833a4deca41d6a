"""What a registry holds of this project, as the same kind of items, and the removal of one."""

from __future__ import annotations

from typing import Any, Protocol

from build.decisions.names import RELEASE_LABEL
from build.decisions.retention import ARTIFACT, Item, Place, Role
from build.procedures.janitor_host import OCI, ROLES, when

Document = dict[str, Any]


class Store(Protocol):
    """The part of a registry's API that retention needs."""

    def tags(self, repository: str) -> list[str]:
        """Its tags; none for a repository that is not there."""

    def manifest(self, repository: str, reference: str) -> tuple[str, Document]:
        """Digest and content of what a tag or digest names."""

    def blob(self, repository: str, digest: str) -> Document:
        """A small blob that is JSON."""

    def delete(self, repository: str, digest: str) -> None:
        """Removes a manifest, and with it every tag on it."""


class RegistrySurvey:
    """The project's repositories at `host/prefix`, told apart by what their tags and labels say."""

    def __init__(self, store: Store, address: str) -> None:
        """`address` is HOST or HOST/PREFIX, as images are pushed to."""
        self._store = store
        self._host, _, prefix = address.strip("/").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def items(self) -> list[Item]:
        """Every manifest that a tag leads to, images before what is attached to them."""
        found: list[Item] = []
        for name, role in ROLES.items():
            repository = self._prefix + name
            tags: dict[str, list[str]] = {}
            for tag in self._store.tags(repository):
                digest, _ = self._store.manifest(repository, tag)
                tags.setdefault(digest, []).append(tag)
            found += [self._item(repository, digest, each, role) for digest, each in tags.items()]
        return sorted(found, key=lambda item: item.role is Role.ARTIFACT)

    def remove(self, item: Item) -> None:
        """Deletes a manifest with its tags; of an artifact's index, what it lists as well."""
        repository = item.repository.removeprefix(f"{self._host}/")
        _, document = self._store.manifest(repository, item.id)
        for child in document.get("manifests", []):
            self._store.delete(repository, child["digest"])
        self._store.delete(repository, item.id)

    def _item(self, repository: str, digest: str, tags: list[str], role: Role) -> Item:
        where = f"{self._host}/{repository}"
        names = (*(f"{where}:{tag}" for tag in sorted(tags)), f"{where}@{digest}")
        _, document = self._store.manifest(repository, digest)
        if attached := ARTIFACT.fullmatch(tags[0]):
            size = sum(int(child.get("size", 0)) for child in document.get("manifests", []))
            subject = (f"{where}@sha256:{attached[1]}",)
            return Item(Place.REGISTRY, digest, size, 0.0, 0.0, Role.ARTIFACT, names=names, stands_on=subject)
        if "manifests" in document:  # an index: its first image stands for it
            _, document = self._store.manifest(repository, document["manifests"][0]["digest"])
        config = self._store.blob(repository, document["config"]["digest"])
        labels = (config.get("config") or {}).get("Labels") or {}
        built = when(config.get("created", ""))
        return Item(
            Place.REGISTRY,
            digest,
            size=sum(int(layer["size"]) for layer in document.get("layers", [])),
            created=when(labels.get(OCI + "created", "")) or built,
            touched=built,
            role=role,
            names=names,
            release=labels.get(RELEASE_LABEL, ""),
            verified=True,  # only what passed is pushed
            stands_on=tuple(filter(None, (labels.get(OCI + "base.name"), labels.get(OCI + "base.digest")))),
            layers=tuple((config.get("rootfs") or {}).get("diff_ids") or ()),
        )
