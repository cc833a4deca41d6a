"""Runs an image and looks into it: each line passed, failed or not verified."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from docker.models.images import Image

from build.decisions import audio
from build.decisions.names import FLAVOUR_LABEL, RELEASE_LABEL
from build.decisions.verification import Line, Report, is_package_cache, is_secret, is_unexpected_setuid, line, none_of
from build.drivers import git
from build.drivers.engine import Engine, explained
from build.errors import CommandFailedError, ImageNotFoundError, VerificationError
from build.procedures import report as saying
from build.settings import Settings

INSIDE = Path(__file__).parents[1] / "inside"
BUDGET_MB = {"slim": 700, "cuda": 8500}
ENVIRONMENT = {"slim": "tts", "cuda": "torch29"}
LABELS = ("revision", "version", "created", "base.name", "base.digest")
SENTENCE = "Every sentence that you hear was made a moment ago."
APP_UID = 10001
HEAD_BYTES = 64


class Stream(io.RawIOBase):
    """An iterator of bytes as a file that is read once, from front to end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or next(self._chunks, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class Verifier:
    def __init__(self, settings: Settings, engine: Engine, report: saying.Report) -> None:
        self._settings, self._engine, self._report = settings, engine, report

    def run(self, image: Image) -> list[Report]:
        return [self.base(image), self.app(image)]

    def base(self, image: Image) -> Report:
        """Layers, size and environment of an image."""
        self._report.step(f"looking into every layer of {image.id}")
        flavour = image.labels.get(FLAVOUR_LABEL, "slim")
        said = self._ask(image, "verify_base.py")
        size = int(image.attrs["Size"]) // 10**6
        lines = [
            line("python", said["python"] == "3.11", said["python"]),
            line("environment", said["env"] == ENVIRONMENT[flavour], said["env"]),
            line("onnxruntime provider", "CPUExecutionProvider" in said["providers"], ", ".join(said["providers"])),
            line("wav written and read", said["wav"]),
            line("size", size <= BUDGET_MB[flavour], f"{size} MB of {BUDGET_MB[flavour]} MB"),
            *(_torch(said) if flavour == "cuda" else []),
            *self._layers(image),
        ]
        return Report(str(image.id), "base", tuple(lines))

    def app(self, image: Image) -> Report:
        """Code, identity and voice of an image."""
        said, labels = self._ask(image, "verify_app.py", SENTENCE), image.labels
        missing = [name for name in LABELS if not labels.get(f"org.opencontainers.image.{name}")]
        release = labels.get(RELEASE_LABEL, "")
        faults = list(audio.judge(SENTENCE, base64.b64decode(said.get("wav", "")), audio.Expectation()).faults)
        lines = [
            self._tree(release, said["blobs"]),
            line("release", bool(release) and said["release"] == release, f"{said['release']} in it, label {release}"),
            none_of("labels", missing),
            none_of("ownership of /app", said["loose"]),
            none_of("voice", [said["error"]] if "error" in said else faults),
        ]
        return Report(str(image.id), "app", tuple(lines))

    def _ask(self, image: Image, script: str, *args: str) -> dict[str, Any]:
        with explained():
            container = self._engine.client.containers.create(
                image.id,
                ["python", "-c", (INSIDE / script).read_text(), *args],
                user=f"{APP_UID}:{APP_UID}",  # also where the image says otherwise
                network_mode="none",
                read_only=True,
                tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
            )
            try:
                container.start()
                code = container.wait()["StatusCode"]
                answer = container.logs(stdout=True, stderr=False)
                error = container.logs(stdout=False, stderr=True).decode(errors="replace")
            finally:
                container.remove(force=True)
        if code:
            raise VerificationError(
                f"{script} does not run in {image.id}", detail=error, remedy="build the base again; see the lines above"
            )
        return cast(dict[str, Any], json.loads(answer.splitlines()[-1]))

    def _tree(self, release: str, blobs: dict[str, str]) -> Line:
        try:
            listed = git.identity_of(self._settings.root, release, ("service",)) if release else ""
        except CommandFailedError:
            listed = ""
        if not listed:
            return Line("files of the commit", "not verified", f"this clone does not know {release or 'the release'}")
        known = {path: meta.split()[2] for meta, path in (row.split("\t") for row in listed.splitlines())}
        return none_of("files of the commit", sorted(p for p in known | blobs if known.get(p) != blobs.get(p)))

    def _layers(self, image: Image) -> list[Line]:
        found: dict[str, list[str]] = {"secrets": [], "package caches": [], "ownership": [], "setuid": []}
        seen = 0
        with explained(), tarfile.open(fileobj=io.BufferedReader(Stream(image.save())), mode="r|") as outer:
            for part in outer:
                file = outer.extractfile(part) if part.isfile() else None
                if file is not None and not part.name.endswith(".json"):
                    seen += _scan(file, found)
        expected = len(set(image.attrs["RootFS"]["Layers"]))
        return [
            line("every layer was read", seen >= expected, f"{seen} of {expected}"),
            *(none_of(name, paths) for name, paths in found.items()),
        ]


def _scan(file: IO[bytes], found: dict[str, list[str]]) -> int:
    """Adds what one layer holds; 1 when it was a layer. A file that a later layer deletes is in this one still."""
    try:
        layer = tarfile.open(fileobj=file, mode="r|")  # noqa: SIM115 - closed below
    except tarfile.ReadError:
        return 0  # an image's own JSON
    with layer:
        for each in layer:
            path = each.name.removeprefix("./")
            content = layer.extractfile(each) if each.isreg() else None
            if content and is_secret(path, content.read(HEAD_BYTES)):
                found["secrets"].append(path)
            # Locks and whiteouts are empty.
            if content and each.size and is_package_cache(path):
                found["package caches"].append(path)
            if each.uid == APP_UID and not path.startswith("run/service"):
                found["ownership"].append(path)
            if is_unexpected_setuid(path, each.mode):
                found["setuid"].append(path)
    return 1


def _torch(said: dict[str, Any]) -> list[Line]:
    libraries: list[str] = said.get("libraries", [])
    own = [path for path in libraries if "/libcuda.so" not in path]
    foreign = [path for path in own if "/site-packages/nvidia/" not in path]
    foreign += [path for path in libraries if "/usr/local/cuda/compat" in path]
    wanted = {"libcudart.so.12", "libcublas.so.12", "libcudnn.so.9"}
    missing = sorted(wanted - {Path(path).name for path in own})
    return [
        line("torch", (said.get("torch"), said.get("torch_cuda")) == ("2.9.1", "12.8"), f"{said.get('torch')}"),
        none_of("library origins", foreign + [f"{name} not loaded" for name in missing]),
        Line("GPU", "passed") if said.get("gpu") else Line("GPU", "not verified", "there is none here"),
    ]


def require(reports: list[Report]) -> None:
    """Raises VerificationError with every failed line."""
    failed = [f"{each.part}: {bad.name}: {bad.detail}" for each in reports for bad in each.failed]
    if failed:
        raise VerificationError(
            f"{len(failed)} lines of the verification failed",
            detail="\n".join(failed),
            remedy="correct what the lines name and build again",
        )


def verify_reference(settings: Settings, engine: Engine, report: saying.Report, reference: str) -> list[Report]:
    """Both reports on an image that is on the engine; ImageNotFoundError when it is not."""
    image = engine.image(reference)
    if image is None:
        raise ImageNotFoundError(f"{reference} is not on the engine", remedy="build or pull it first")
    return Verifier(settings, engine, report).run(image)
