"""Images into a registry: the base once, the app by its commit, both known by digest afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from docker.models.images import Image

from build.decisions.identity import Commit
from build.decisions.names import STANDIN_LABEL
from build.drivers import transfer
from build.drivers.engine import Engine, explained
from build.drivers.patience import Patience
from build.drivers.registry import Manifest, Registry
from build.errors import DirtyTreeError, RegistryError, StandinRefusedError
from build.procedures import attach
from build.procedures.report import Report

NOTHING: Mapping[str, str] = MappingProxyType({})


class Publisher:
    """Pushes to one registry what may be pushed. Names are given without the registry: `glm-tts-slim:<sha>`."""

    def __init__(
        self, engine: Engine, report: Report, registry: str, commit: Commit, patience: Patience | None = None
    ) -> None:
        """
        Raises:
            DirtyTreeError: the tree has changes that no commit holds, so nobody could trace the image.
            UsageError: the registry is given as a URL.
        """
        if commit.dirty:
            raise DirtyTreeError(
                f"the tree has {len(commit.dirty)} uncommitted paths ({', '.join(commit.dirty[:3])}...), "
                "and what is pushed must be traceable to a commit",
                remedy="commit or stash them, or build without --push",
            )
        self._engine = engine
        self._report = report
        self._patience = patience or Patience(note=report.note)
        self.registry = Registry(registry, self._patience)
        self._version = commit.version

    def publish(self, image: Image, name: str) -> tuple[str, Image]:
        """The image of that name as the registry has it: `repo@digest`, and the image, which the engine has too.

        A registry that lacks it is given `image`. One that has it keeps its own, whoever built that (a tag that names
        a commit or a base's inputs is never moved), and its image is brought here in place of `image`.

        Raises:
            StandinRefusedError: a production push of an image that stands on stand-ins.
            RegistryError: refused, unreachable, or the registry holds something other than what was pushed.
        """
        return self._published(name, image)

    def fetch(self, name: str) -> Image | None:
        """The registry's image of that name, brought here; None where it has none. Raises as publish() does."""
        repository, _, tag = name.rpartition(":")
        return self._published(name, None)[1] if self.registry.digest(repository, tag) else None

    def cache(self, name: str) -> str:
        """The registry's image of that name as BuildKit knows it, empty when there is none."""
        repository, _, tag = name.rpartition(":")
        return f"{self.registry.full(repository)}:{tag}" if self.registry.digest(repository, tag) else ""

    def attach(
        self, reference: str, artifact_type: str, content: bytes, annotations: Mapping[str, str] = NOTHING
    ) -> None:
        """Puts a document beside a published image, unless one of that type has these annotations there already.

        Args:
            reference: `repo@digest`, as publish() returns it.
        """
        repository, digest = self._parsed(reference)
        if not attach.find(self.registry, repository, digest, artifact_type, annotations):
            attach.attach(self.registry, repository, digest, artifact_type, content, annotations)

    def documents(self, name: str, artifact_type: str, annotations: Mapping[str, str] = NOTHING) -> Iterator[bytes]:
        """Those beside the image of that name, if the registry has it, that are of the type and so annotated."""
        repository, _, tag = name.rpartition(":")
        if digest := self.registry.digest(repository, tag):
            for each in attach.find(self.registry, repository, digest, artifact_type, annotations):
                yield attach.content(self.registry, repository, each.digest)

    def tag(self, reference: str, tag: str, *, movable: bool) -> None:
        """Puts a published image under one more tag, without moving a byte of it.

        Args:
            reference: `repo@digest`, as publish() returns it.
            tag: such as a version (not movable) or a channel (movable).

        Raises:
            RegistryError: there is no such image, or the tag names another one and is not movable.
        """
        repository, digest = self._parsed(reference)
        present = self.registry.digest(repository, tag)
        if present == digest:
            return
        if present and not movable:
            raise RegistryError(
                f"{repository}:{tag} is {present} already and not {digest}; such a tag is never moved",
                remedy="give the release a version of its own",
            )
        manifest = self._manifest(repository, digest)
        self.registry.put_manifest(repository, tag, manifest.body, manifest.media_type)
        self._report.note(f"{self.registry.full(repository)}:{tag} is {digest}")

    def _published(self, name: str, image: Image | None) -> tuple[str, Image]:
        """What the registry has under a name, pushed there first when it has nothing."""
        repository, _, tag = name.rpartition(":")
        full = self.registry.full(repository)
        digest = self.registry.digest(repository, tag)
        if image:
            self.refuse_standins(image, name)
        if image and not digest:
            self._report.step(f"pushing {full}:{tag}")
            # The engine tries a push that is refused five times over, and says less about it.
            self.registry.check_push(repository)
            transfer.push(self._engine, image, full, tag, self._patience)
            digest = self.registry.digest(repository, tag)
            if not digest:
                raise RegistryError(f"{full}:{tag} was pushed, but the registry does not know it")
            _check(self._manifest(repository, digest), image, f"{full}:{tag}")
        else:
            self._report.note(f"{full}:{tag} is in the registry already")
        return f"{full}@{digest}", self._here(repository, name, digest, image)

    def _here(self, repository: str, name: str, digest: str, image: Image | None) -> Image:
        """The published image on this engine, pulled when it is another one than was built here, or none was."""
        full = self.registry.full(repository)
        manifest = self._manifest(repository, digest)
        if found := self._engine.image(f"{full}@{digest}"):
            self.refuse_standins(found, name)
            return found
        if image and not _is(manifest, image):
            self._report.note(f"{name} was published from another build; that one is the release and is used here")
        pulled = transfer.pull(self._engine, full, digest, self._patience)
        _check(manifest, pulled, f"{full}@{digest}")
        self.refuse_standins(pulled, name)
        with explained():
            pulled.tag(*name.rsplit(":", 1))
        return pulled

    def _manifest(self, repository: str, digest: str) -> Manifest:
        manifest = self.registry.manifest(repository, digest)
        if manifest is None:
            raise RegistryError(f"the registry has no {self.registry.full(repository)}@{digest}")
        return manifest

    def _parsed(self, reference: str) -> tuple[str, str]:
        """The repository within the registry, and the digest, of a `repo@digest`."""
        repository, _, digest = reference.partition("@")
        return repository.removeprefix(self.registry.full("x").removesuffix("x")), digest

    def refuse_standins(self, image: Image, name: str) -> None:
        """Raises StandinRefusedError for a production push of an image that stands on stand-ins."""
        standins = image.labels.get(STANDIN_LABEL, "")
        if self._version and standins:
            raise StandinRefusedError(
                f"{name} stands on stand-ins for {standins}, and the tag {self._version} makes this a production push",
                remedy="build where the genuine upstream images and channel can be reached",
            )


def _is(manifest: Manifest, image: Image) -> bool:
    """An image's ID is its configuration's digest, or the manifest's in an engine that keeps images by containerd."""
    return image.id in (manifest.config, manifest.digest)


def _check(manifest: Manifest, image: Image, name: str) -> None:
    if not _is(manifest, image):
        raise RegistryError(
            f"{name} is another image in the registry ({manifest.config or manifest.digest}) than here ({image.id})",
            remedy="another runner may have pushed at the same moment: run again, and what it pushed is used",
        )
