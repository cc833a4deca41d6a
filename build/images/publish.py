"""Publisher of images in a registry: the base once for its inputs, the app once for its commit, both by digest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from docker.models.images import Image

from build.docker.engine import DockerEngine, convert_errors
from build.errors import DirtyTreeError, RegistryError, StandinRefusedError
from build.images import standins
from build.model.commit import Commit
from build.model.labels import ENVIRONMENT_LABEL, FLAVOUR_LABEL, OCI, RELEASE_LABEL, STANDIN_LABEL
from build.progress import Progress
from build.registry import referrers, registries, transfer
from build.registry.client import Manifest
from build.registry.http import IMMUTABLE
from build.registry.retry import RetryPolicy

NOTHING: Mapping[str, str] = MappingProxyType({})


class Publisher:
    """Pushes images to one registry. Names are given without the registry: `glm-tts-slim:<sha>`."""

    def __init__(
        self,
        engine: DockerEngine,
        progress: Progress,
        registry: str,
        commit: Commit,
        retry: RetryPolicy | None = None,
    ) -> None:
        """
        Raises:
            DirtyTreeError: the tree has uncommitted changes, so the image could not be traced to a commit.
            UsageError: the registry is given as a URL or with credentials.
        """
        if commit.dirty:
            raise DirtyTreeError(
                f"the tree has {len(commit.dirty)} uncommitted paths ({', '.join(commit.dirty[:3])}...), "
                "but a pushed image must be traceable to a commit",
                remedy="commit or stash them, or build without --push",
            )
        self._engine = engine
        self._progress = progress
        self._retry = retry or RetryPolicy(note=progress.note)
        self.registry = registries.connect(engine, registry, self._retry)
        self._version = commit.version

    def publish(self, image: Image, name: str, version: str = "") -> tuple[str, Image]:
        """Publish an image; return its `repo@digest` and the published image on the engine.

        If the registry lacks the name, `image` is pushed. If the registry has it, its image is pulled and used in place
        of `image`: a tag for a commit or for a base's inputs never moves.

        Args:
            version: registry tag to use instead of the name's tag. The production image of a commit needs its own tag,
                because its labels differ from the staging image.

        Raises:
            StandinRefusedError: a production push of an image that is built on stand-ins.
            RegistryError: the registry refuses or does not answer, it has another image than the one pushed, or the
                version already names another release.
        """
        return self._published(name, image, version)

    def fetch(self, name: str) -> Image | None:
        """Pull the registry's image by name; None if the registry has none. Raises the same errors as publish()."""
        repository, _, tag = name.rpartition(":")
        return self._published(name, None)[1] if self._digest(repository, tag) else None

    def cache(self, name: str) -> str:
        """The full reference of the registry's image for BuildKit; empty if there is none."""
        repository, _, tag = name.rpartition(":")
        return f"{self.registry.full(repository)}:{tag}" if self._digest(repository, tag) else ""

    def ids(self, name: str) -> frozenset[str]:
        """IDs that engines with either image store may use for the registry's image; empty if there is none."""
        repository, _, tag = name.rpartition(":")
        digest = self._digest(repository, tag)
        return self._ids(repository, digest) if digest else frozenset()

    def tags(self, repository: str) -> list[str]:
        """List the tags of a repository; empty, with a note, if the registry does not list them."""
        try:
            return self.registry.tags(repository)
        except RegistryError as error:
            self._progress.note(f"{error.message}; refreshed bases in this registry are not used")
            return []

    def attach(
        self, reference: str, artifact_type: str, content: bytes, annotations: Mapping[str, str] = NOTHING
    ) -> None:
        """Attach a document to a published image, unless one with the same type and annotations is attached already.

        Args:
            reference: `repo@digest`, as publish() returns it.
        """
        repository, digest = self._parsed(reference)
        if referrers.find(self.registry, repository, digest, artifact_type, annotations):
            return
        try:
            referrers.attach(self.registry, repository, digest, artifact_type, content, annotations)
        except RegistryError as error:
            if error.reason != IMMUTABLE:
                raise
            self._progress.note(
                f"warning: {artifact_type} cannot be listed as attached to {reference}: {error.message}; exempt tags "
                "that begin with sha256- from the registry's immutability"
            )

    def documents(self, name: str, artifact_type: str, annotations: Mapping[str, str] = NOTHING) -> Iterator[bytes]:
        """Yield the documents with this type and these annotations attached to an image (name or `repo@digest`)."""
        if "@" in name:
            repository, digest = self._parsed(name)
        else:
            repository, _, tag = name.rpartition(":")
            digest = self._digest(repository, tag)
        if digest:
            for document in referrers.find(self.registry, repository, digest, artifact_type, annotations):
                yield referrers.content(self.registry, repository, document.digest)

    def tag(self, reference: str, tag: str, *, movable: bool) -> None:
        """Add a tag to a published image without transferring its layers.

        If the registry does not move tags, a movable tag stays where it is and a warning is shown.

        Args:
            reference: `repo@digest`, as publish() returns it.
            tag: such as a version (not movable) or a channel (movable).

        Raises:
            RegistryError: there is no such image, or the tag names another image and is not movable.
        """
        repository, digest = self._parsed(reference)
        present = self.registry.digest(repository, tag)
        if present == digest:
            return
        if present and not movable:
            raise RegistryError(
                f"{repository}:{tag} names {present}, not {digest}, and this tag is never moved",
                remedy="release it under another version",
            )
        manifest = self._manifest(repository, digest)
        full = self.registry.full(repository)
        try:
            self.registry.put_manifest(repository, tag, manifest.body, manifest.media_type)
        except RegistryError as error:
            if error.reason != IMMUTABLE or not movable:
                raise
            self._progress.note(
                f"warning: {full}:{tag} stays at {present or 'nothing'}: {error.message}; deploy by digest, or exempt "
                f"the tag {tag} from the registry's immutability"
            )
        else:
            self._progress.note(f"{full}:{tag} now names {digest}")

    def _digest(self, repository: str, tag: str) -> str:
        """The digest of a tag; empty if there is none, or if the registry denies reads before the first push.

        Raises:
            RegistryError: the registry denies reads and pushes.
        """
        return self.registry.before_push(repository, lambda: self.registry.digest(repository, tag), "")

    def _published(self, name: str, image: Image | None, version: str = "") -> tuple[str, Image]:
        """Push `image` if the registry has nothing under the name or version; return the registry's image."""
        repository, _, tag = name.rpartition(":")
        tag = version or tag
        full = self.registry.full(repository)
        digest = self._digest(repository, tag)
        if image:
            self.refuse_standins(image, name)
        if image and not digest:
            self._progress.step(f"pushing {full}:{tag}")
            # Check first: the engine retries a refused push five times and reports less detail.
            self.registry.check_push(repository)
            digest = self._pushed(image, repository, tag)
        else:
            self._progress.note(f"{full}:{tag} is already in the registry")
        if image and version:
            self._refuse_another_release(repository, version, digest, image)
        return f"{full}@{digest}", self._on_engine(repository, name, digest, image)

    def _pushed(self, image: Image, repository: str, tag: str) -> str:
        """Push an image; return the tag's digest, or another runner's if that pushed first to an immutable tag."""
        full = self.registry.full(repository)
        try:
            transfer.push(self._engine, image, full, tag, self._retry)
        except RegistryError as error:
            if error.reason == IMMUTABLE and (published := self.registry.digest(repository, tag)):
                self._progress.note(f"another runner published {full}:{tag} at the same time")
                return published
            raise
        digest = self.registry.digest(repository, tag)
        if not digest:
            raise RegistryError(f"{full}:{tag} was pushed, but the registry does not have it")
        self._check(repository, digest, image, f"{full}:{tag}")
        return digest

    def _on_engine(self, repository: str, name: str, digest: str, image: Image | None) -> Image:
        """The published image on this engine; pulled if none was built here or the published one differs."""
        full = self.registry.full(repository)
        found = self._engine.image(f"{full}@{digest}")
        if found is None:
            if image and str(image.id) not in self._ids(repository, digest):
                self._progress.note(f"{name} was published from another build; using the published image")
            found = transfer.pull(self._engine, full, digest, self._retry)
            self._check(repository, digest, found, f"{full}@{digest}")
        self.refuse_standins(found, name)
        if name not in found.tags:
            with convert_errors():
                found.tag(*name.rsplit(":", 1))
        return found

    def _refuse_another_release(self, repository: str, version: str, digest: str, image: Image) -> None:
        """Raise RegistryError if the version already names another release, judged by the published image's labels."""
        manifest = self.registry.image(repository, digest)
        config = json.loads(self.registry.blob(repository, manifest.config)).get("config") or {} if manifest else {}
        published, built = config.get("Labels") or {}, image.labels
        wrong = [
            f"{label} is {published.get(label)}, not {built.get(label)}"
            for label in (RELEASE_LABEL, ENVIRONMENT_LABEL, OCI + "version")
            if published.get(label) != built.get(label)
        ]
        if wrong:
            raise RegistryError(
                f"{self.registry.full(repository)}:{version} already names another release ({'; '.join(wrong)}), "
                "and a version is never moved",
                remedy="release it under another version",
            )

    def _manifest(self, repository: str, digest: str) -> Manifest:
        manifest = self.registry.manifest(repository, digest)
        if manifest is None:
            raise RegistryError(f"the registry has no {self.registry.full(repository)}@{digest}")
        return manifest

    def _ids(self, repository: str, digest: str) -> frozenset[str]:
        """Digests of the manifest (for an index, also of its image) and of the configuration."""
        manifest = self._manifest(repository, digest)
        image = self._manifest(repository, manifest.platform_digest) if manifest.platform_digest else manifest
        return frozenset({manifest.digest, image.digest, image.config} - {""})

    def _check(self, repository: str, digest: str, image: Image, name: str) -> None:
        known = self._ids(repository, digest)
        if str(image.id) not in known:
            raise RegistryError(
                f"{name} in the registry ({', '.join(sorted(known))}) differs from the engine's image ({image.id})",
                remedy="another runner may have pushed at the same time: run the command again to use its image",
            )

    def _parsed(self, reference: str) -> tuple[str, str]:
        """Split a `repo@digest` into the repository within the registry and the digest."""
        repository, _, digest = reference.partition("@")
        return repository.removeprefix(self.registry.full("x").removesuffix("x")), digest

    def refuse_standins(self, image: Image, name: str) -> None:
        """Raise StandinRefusedError for a production push of an image that is built on stand-ins."""
        kinds = [kind for kind in image.labels.get(STANDIN_LABEL, "").split(",") if kind]
        if self._version and kinds:
            raise StandinRefusedError(
                f"{name} is built on stand-ins for {', '.join(kinds)}, so it cannot be pushed as {self._version}",
                detail=standins.replacements(kinds, image.labels.get(FLAVOUR_LABEL) or "slim"),
                remedy=f"replace each stand-in as listed, and tag the commit with the new locks ({standins.GUIDE})",
            )
