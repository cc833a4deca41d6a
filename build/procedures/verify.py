"""Runs an image and looks into it: each line passed, failed or not verified."""

from __future__ import annotations

import base64
import hashlib
import json
import tomllib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, cast

from docker.models.images import Image
from docker.types import DeviceRequest

from build.decisions import compatibility, lockdiff
from build.decisions import verification as rules
from build.decisions.names import FLAVOUR_LABEL, OCI, RELEASE_LABEL, STANDIN_LABEL
from build.decisions.verification import APP_UID, Line, Report, line, none_of
from build.drivers import files, git, oneshot
from build.drivers.engine import Engine, explained
from build.errors import CommandFailedError, ImageNotFoundError, VerificationError
from build.procedures import compatibility as versions
from build.procedures import inventory, layers, locks
from build.procedures import report as saying
from build.settings import Settings

BUILD = Path(__file__).parents[1]
DATA = BUILD / "data/verification.toml"
# What decides a base's report: an older one is not believed when one of these has changed.
CHECKS = (
    DATA,
    versions.TABLE,
    *(BUILD / "inside" / name for name in ("verify_base.py", "inventory.py")),
    *(BUILD / "procedures" / name for name in ("verify.py", "layers.py")),
    *(BUILD / "decisions" / name for name in ("verification.py", "lockdiff.py")),
)
LABELS = ("revision", "version", "created", "base.name", "base.digest")
SENTENCE = "Every sentence that you hear was made a moment ago."
CODE = ("service", "voices")
LIMIT_S = 300
# What others have found in an image whose place in a registry is known, by the hash of the checks.
Published = Callable[[str], Iterable[Report]]
# Between samples, of 1 at most.
TORCH_DIFFERS = 1e-3
LIBRARIES = {"libcudart.so.12", "libcublas.so.12", "libcudnn.so.9"}


class Verifier:
    """Looks into images of one clone; `fresh` looks into a base again that has passed before."""

    def __init__(self, settings: Settings, engine: Engine, report: saying.Report, fresh: bool = False) -> None:
        self._settings, self._engine, self._report, self._fresh = settings, engine, report, fresh

    def run(self, image: Image) -> list[Report]:
        """The base's report, then the app's; an app whose base is not on the engine is looked into as a whole."""
        return [self.base(self.base_of(image) or image), self.app(image)]

    def base_of(self, image: Image) -> Image | None:
        """The image that an app's labels name as its base, if the engine has it and the app stands on its layers."""
        for name in ("base.digest", "base.name"):
            found = self._engine.image(image.labels.get(OCI + name) or "-")
            if found is not None and _layers(image)[: len(_layers(found))] == _layers(found):
                return found
        return None

    def base(self, image: Image, published: Published = lambda _: ()) -> Report:
        """Layers, size and environment of an image; what passed once is taken from out/verified, or as `published`."""
        flavour = image.labels.get(FLAVOUR_LABEL, "slim")
        apt = self._apt_lock(image, flavour)
        checks = self._checks(apt, flavour)
        path = self._path(image, "base")
        if not self._fresh and (known := _known(path, str(image.id), checks)):
            self._report.note(f"{image.id} has passed these checks before")
            return known
        # Whoever may push a base may push its report: believing that trusts nobody who is not trusted with the image.
        if not self._fresh and (known := rules.believed(published(checks), str(image.id), checks)):
            self._report.note(f"{image.id} has passed these checks where it was published")
            return _kept(path, known)
        self._report.step(f"looking into every layer of {image.id}")
        said, runs = self._ask(image, "verify_base.py", gpu=self._has_gpu(flavour))
        environment = self._environment(image, flavour, said, apt) if said else []
        done = Report(str(image.id), "base", (runs, *environment, *_scanned(image, flavour)), checks)
        return _kept(path, done)

    def app(self, image: Image) -> Report:
        """Code, identity and voice of an image; the layers of its base are not looked into."""
        from build.decisions import audio  # noqa: PLC0415 - numpy: 0.1 s that a run without news can spare

        self._report.step(f"looking into /app of {image.id}")
        labels, folder = image.labels, layers.read_folder(self._engine, image, "/app")
        release = labels.get(RELEASE_LABEL, "")
        given = next((e[8:] for e in image.attrs["Config"]["Env"] if e.startswith("RELEASE=")), "")
        said, runs = self._ask(image, "verify_app.py", SENTENCE)
        heard = audio.judge(SENTENCE, base64.b64decode(said["wav"]), audio.Expectation()).faults if said else ()
        lines = (
            self._tree(release, folder.blobs),
            *self._above(image),
            line("release", bool(release) and given == release, f"{given or 'none'} in it, label {release or 'none'}"),
            none_of("labels", [name for name in LABELS if not labels.get(OCI + name)]),
            none_of("secrets in /app", folder.secrets),
            none_of("ownership of /app", folder.loose),
            none_of("voice", heard) if said else Line("voice", "failed", runs.detail),
            *_voice_on_torch(said),
        )
        return _kept(self._path(image, "app"), Report(str(image.id), "app", lines))

    def _ask(self, image: Image, script: str, *args: str, gpu: bool = False) -> tuple[dict[str, Any], Line]:
        """What a script says in the image, as the service's user; nothing and a failed line when it crashes."""
        requests = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if gpu else None
        argv = ["python", "-c", (BUILD / "inside" / script).read_text(), *args]
        name = f"{script} runs"
        try:
            answer = oneshot.run(
                self._engine,
                str(image.id),
                argv,
                limit_s=LIMIT_S,
                user=f"{APP_UID}:{APP_UID}",  # also where the image says otherwise
                tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
                device_requests=requests,
            )
            if answer.exit_code == 0:
                return cast(dict[str, Any], json.loads(answer.text.splitlines()[-1])), line(name, True)
            detail = (answer.error.splitlines() or [f"exit code {answer.exit_code}"])[-1]
        except CommandFailedError as error:
            detail = error.message
        except (ValueError, IndexError) as error:
            detail = f"it did not answer: {error}"
        return {}, line(name, False, detail)

    def _has_gpu(self, flavour: str) -> bool:
        return flavour == "cuda" and bool(self._engine.gpu_runtime)

    def _environment(self, image: Image, flavour: str, said: dict[str, Any], apt: str | None) -> list[Line]:
        texts = {name: text for name, text in said["locks"].items() if name.endswith(".txt")}
        pins = lockdiff.packages("pip", "\n".join(texts.values()))
        wanted = _data()["environment"][flavour]
        known = lockdiff.LockTexts(tuple(texts.values()) or None, said["locks"].get("conda.lock"), apt)
        onnx = pins.get("onnxruntime") or pins.get("onnxruntime-gpu")
        return [
            line("python", said["python"] == "3.11", said["python"]),
            line("environment", said["env"] == wanted, said["env"]),
            line("onnxruntime", said["onnxruntime"] == onnx, f"{said['onnxruntime']} (locked: {onnx})"),
            line(
                "onnxruntime session",
                said["inference"] and said["providers"] == ["CPUExecutionProvider"],
                ", ".join(said["providers"]),
            ),
            line("wav written and read", said["wav"]),
            none_of("CA bundle", said["authorities"]),
            *(_torch(said, pins) if flavour == "cuda" else []),
            *self._drift(image, known),
        ]

    def _drift(self, image: Image, texts: lockdiff.LockTexts) -> list[Line]:
        try:
            found = lockdiff.drift(inventory.read(self._engine, str(image.id)), texts)
        except CommandFailedError as error:
            return [Line("locks", "failed", error.message)]
        known = {"pip": texts.pip, "conda": texts.conda, "apt": texts.apt}
        return [
            rules.drift_line(kind, None if text is None else [each for each in found if each.kind == kind])
            for kind, text in known.items()
        ]

    def _apt_lock(self, image: Image, flavour: str) -> str | None:
        path = self._settings.root / locks.apt_lock_name(flavour, image.labels.get(STANDIN_LABEL, ""))
        return path.read_text() if path.exists() else None

    def _checks(self, apt: str | None, flavour: str) -> str:
        parts = [*(path.read_text() for path in CHECKS), apt or "", str(self._has_gpu(flavour))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _path(self, image: Image, part: str) -> Path:
        return self._settings.root / "out/verified" / f"{str(image.id).removeprefix('sha256:')}-{part}.json"

    def _tree(self, release: str, blobs: dict[str, str]) -> Line:
        root = self._settings.root
        commit = git.commit_of(root, release) if release else ""
        listed = git.identity_of(root, commit, CODE) if commit else ""
        if not listed:
            return Line("files of the commit", "not verified", f"this clone does not know {release or 'the release'}")
        known = {path: meta.split()[2] for meta, path in (row.split("\t") for row in listed.splitlines())}
        return none_of("files of the commit", sorted(p for p in known | blobs if known.get(p) != blobs.get(p)))

    def _above(self, image: Image) -> list[Line]:
        names = ("layers above the base", "configuration")
        base = self.base_of(image)
        if base is None:
            return [Line(name, "not verified", "its base is not on the engine") for name in names]
        with explained():
            steps, below = (
                [str(step["CreatedBy"] or "") for step in reversed(each.history())] for each in (image, base)
            )
        if steps[: len(below)] != below:
            above = ["another history than the base's"]
        else:
            above = rules.unlike_copies(steps[len(below) :], len(_layers(image)) - len(_layers(base)))
        changed = rules.changed_configuration(base.attrs["Config"], image.attrs["Config"])
        return [none_of(name, found) for name, found in zip(names, (above, changed), strict=True)]


def _layers(image: Image) -> list[str]:
    return cast(list[str], image.attrs["RootFS"]["Layers"])


def _data() -> dict[str, Any]:
    return tomllib.loads(DATA.read_text())


def _known(path: Path, image: str, checks: str) -> Report | None:
    """The report of an earlier look by the same checks, if all of it passed."""
    try:
        return rules.believed([Report.from_json(path.read_text())], image, checks)
    except (OSError, ValueError):
        return None


def _kept(path: Path, report: Report) -> Report:
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, report.to_json() + "\n")
    return report


def _scanned(image: Image, flavour: str) -> list[Line]:
    size, budget = int(image.attrs["Size"]) // 10**6, int(_data()["budget_mb"][flavour])
    found, expected = layers.scan(image), len(set(_layers(image)))
    return [
        line("size", size <= budget, f"{size} MB of {budget} MB"),
        line("every layer was read", found.layers >= expected, f"{found.layers} of {expected}"),
        none_of("secrets", found.secrets),
        none_of("package caches", found.caches),
        none_of("ownership", found.ownership),
        none_of("setuid", found.setuid),
    ]


def _torch(said: dict[str, Any], pins: dict[str, str]) -> list[Line]:
    version, cuda = said.get("torch", "none"), said.get("torch_cuda") or "none"
    wanted = compatibility.torch_cuda(compatibility.Facts(torch=pins.get("torch", "")), versions.table())
    libraries: list[str] = said.get("libraries", [])
    own = [path for path in libraries if "/libcuda.so" not in path]
    # /usr/local/cuda is a link: the process sees /usr/local/cuda-11.8/compat.
    foreign = [path for path in own if "/site-packages/nvidia/" not in path]
    foreign += [path for path in libraries if "/libcuda.so" in path and "/compat/" in path]
    missing = sorted(LIBRARIES - {Path(path).name for path in own})
    return [
        line("torch", version == pins.get("torch"), f"{version} (locked: {pins.get('torch')})"),
        line("CUDA of torch", cuda == wanted, f"{cuda} (its wheels' is {wanted})"),
        none_of("library origins", foreign + [f"{name} not loaded" for name in missing]),
        Line("GPU", "passed") if said.get("gpu") else Line("GPU", "not verified", "there is none here"),
    ]


def _voice_on_torch(said: dict[str, Any]) -> list[Line]:
    """One line, of an image that has torch and an engine for it."""
    differs = said.get("torch_differs")
    if differs is None:
        return []
    return [
        line("voice on torch", differs < TORCH_DIFFERS, f"{differs:.0e} from onnxruntime (up to {TORCH_DIFFERS:g})")
    ]


def require(reports: list[Report], tolerated: Collection[str] = ()) -> None:
    """Raises VerificationError with every failed line, but for those that are `tolerated` by name."""
    failed = [
        f"{each.part}: {bad.name}: {bad.detail}" for each in reports for bad in each.failed if bad.name not in tolerated
    ]
    if failed:
        raise VerificationError(
            f"{len(failed)} lines of the verification failed",
            detail="\n".join(failed),
            remedy="correct what the lines name and build again",
        )


def verify_reference(
    settings: Settings, engine: Engine, report: saying.Report, reference: str, fresh: bool = False
) -> list[Report]:
    """Both reports on an image that is on the engine, or the one on a base image.

    Raises:
        ImageNotFoundError: it is not on the engine.
    """
    image = engine.image(reference)
    if image is None:
        raise ImageNotFoundError(f"{reference} is not on the engine", remedy="build or pull it first")
    verifier = Verifier(settings, engine, report, fresh)
    return verifier.run(image) if image.labels.get(RELEASE_LABEL) else [verifier.base(image)]
