"""Images into a registry: the base once, the app by its commit, both known by digest afterwards."""

from __future__ import annotations

from docker.errors import APIError
from docker.models.images import Image

from build.decisions.identity import Commit
from build.decisions.names import STANDIN_LABEL
from build.drivers.engine import Engine, explained
from build.errors import DirtyTreeError, RegistryError, StandinRefusedError
from build.procedures.report import Report

NOT_FOUND = 404


class Publisher:
    """Pushes to one registry what may be pushed."""

    def __init__(self, engine: Engine, report: Report, registry: str, commit: Commit) -> None:
        """
        Raises:
            DirtyTreeError: the tree has changes that no commit holds, so nobody could trace the image.
        """
        if commit.dirty:
            raise DirtyTreeError(
                f"the tree has {len(commit.dirty)} uncommitted paths ({', '.join(commit.dirty[:3])}...), "
                "and what is pushed must be traceable to a commit",
                remedy="commit or stash them, or build without --push",
            )
        self._engine = engine
        self._report = report
        self._registry = registry.rstrip("/")
        self._tag = next(reversed(commit.tags), "")

    def push(self, image: Image, name: str) -> str:
        """Pushes an image as `registry/name` (with its tag) unless the registry has it, and returns `repo@digest`.

        Raises:
            StandinRefusedError: a production push of an image that stands on stand-ins.
            RegistryError: refused, unreachable, or the digest read back is another one.
        """
        standins = image.labels.get(STANDIN_LABEL, "")
        if self._tag and standins:
            raise StandinRefusedError(
                f"{name} stands on stand-ins for {standins}, and the tag {self._tag} makes this a production push",
                remedy="build where the genuine upstream images and channel can be reached",
            )
        repository, _, tag = f"{self._registry}/{name}".rpartition(":")
        present = self._digest(f"{repository}:{tag}")
        if not present:
            self._report.step(f"pushing {repository}:{tag}")
            with explained():
                image.tag(repository, tag)
            self._upload(repository, tag)
            present = self._digest(f"{repository}:{tag}")
        else:
            self._report.note(f"{repository}:{tag} is in the registry already")
        if not present:
            raise RegistryError(f"{repository}:{tag} was pushed, but the registry does not know it")
        return f"{repository}@{present}"

    def _upload(self, repository: str, tag: str) -> None:
        with explained():
            for event in self._engine.client.images.push(repository, tag, stream=True, decode=True):
                if "error" in event:
                    raise RegistryError(
                        f"the push of {repository}:{tag} failed: {event['error']}",
                        remedy="`docker login`, or check the registry's name and whether it is up",
                    )

    def _digest(self, reference: str) -> str:
        """The registry's manifest digest of a reference, empty when it has none."""
        try:
            return str(self._engine.client.images.get_registry_data(reference).id)
        except APIError as error:
            words = str(error.explanation or error)
            if error.status_code == NOT_FOUND or "manifest unknown" in words or "not found" in words:
                return ""
            raise RegistryError(f"the registry does not answer for {reference}: {words}") from None
