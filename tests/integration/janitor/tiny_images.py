"""Tiny images, labelled like real ones, under a prefix of the test; a janitor that handles only them."""

from __future__ import annotations

import contextlib
import io
import random
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.janitor.cleaner import Janitor
from build.janitor.host import Scope
from build.janitor.registry import RegistrySurvey
from build.settings import Settings
from build.target.target import ComposeTarget
from build.verify.rules import Line, Outcome, VerificationReport
from build.verify.verdicts import Verdicts

OCI = "org.opencontainers.image."
WEIGHT = 300_000  # bytes of each image


def sha(number: int) -> str:
    return f"{number:040x}"


@dataclass
class TinyImages:
    """Tiny images under one prefix, labelled like real ones."""

    root: Path
    prefix: str
    project: str
    client: Any = field(default_factory=docker.from_env)

    def make(self, name: str, release: str = "", base: str = "", created: str = "") -> Any:
        """Make an image of random bytes as `prefix/name`."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo("weight")
            entry.size = WEIGHT
            archive.addfile(entry, io.BytesIO(random.randbytes(WEIGHT)))
        labels = {"ai.glm-tts.release": release, OCI + "base.digest": base, OCI + "created": created}
        changes = [f'LABEL {key}="{value}"' for key, value in labels.items() if value] + ['CMD ["/weight"]']
        repository, _, tag = f"{self.prefix}/{name}".rpartition(":")
        self.client.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag, changes=changes)
        return self.client.images.get(f"{repository}:{tag}")

    def app(self, number: int, base: str = "", *, verified: bool = True) -> Any:
        image = self.make(f"glm-tts-slim:{sha(number)}", sha(number), base, f"2026-01-{number:02}T00:00:00+00:00")
        if verified:
            self.report(image, "passed")
        return image

    def report(self, image: Any, outcome: Outcome) -> None:
        Verdicts(self.root).write(image.id, VerificationReport(image.id, "app", (Line("voice", outcome),)))

    def janitor(self, registry: RegistrySurvey | None = None, keep: Sequence[str] = (), **settings: Any) -> Janitor:
        """A janitor that handles only these images, and removes young images too."""
        scope = Scope(prefix=self.prefix, project=lambda name: name == self.project, build_cache=False)
        chosen = Settings(root=self.root, project=self.project, **settings)
        target = ComposeTarget(chosen, DockerEngine())
        return Janitor(target, Reporter(), scope=scope, registry=registry, keep=keep, young_s=0)

    def names(self) -> set[str]:
        tags = [tag for image in self.client.api.images() for tag in image.get("RepoTags") or []]
        return {tag.removeprefix(f"{self.prefix}/") for tag in tags if tag.startswith(f"{self.prefix}/")}

    def close(self) -> None:
        for name in self.names():
            with contextlib.suppress(docker.errors.APIError):
                self.client.images.remove(f"{self.prefix}/{name}", force=True)
        self.client.close()
