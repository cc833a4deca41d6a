"""Verifier of images: run an image and read its layers; each report line is passed, failed, drift or not verified."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from docker.models.images import Image
from docker.types import DeviceRequest

from build.docker import oneshot
from build.docker.engine import DockerEngine, convert_errors
from build.errors import CommandFailedError, ImageNotFoundError
from build.locks import apt_locks, compatibility, diff, drift, inventory_reader
from build.locks import compatibility_check as versions
from build.locks.drift import AptLock, Drift
from build.model.labels import FLAVOUR_LABEL, OCI, PROXY_REPOSITORY, RELEASE_LABEL
from build.progress import Progress
from build.settings import Settings
from build.system import git
from build.system.git import TreeEntry
from build.system.sources import Sources
from build.verify import checksum, image_checks, layers, rules
from build.verify.checksum import BUILD, DATA
from build.verify.rules import APP_UID, Line, Part, VerificationReport, line, none_of
from build.verify.verdicts import Verdicts

LABELS = ("revision", "version", "created", "base.name", "base.digest")
SENTENCE = "Every sentence that you hear was made a moment ago."
CODE = ("batch", "service", "voices")
# Sources of the proxy image, and its folders with them.
PROXY_INPUTS = ("agent", "proxy")
PROXY_FOLDERS = ("/etc/haproxy", "/opt/cutover", "/usr/local/bin")
LIMIT_S = 300
# Returns the reports attached to an image in a registry, by the hash of the checks.
Published = Callable[[str], Iterable[VerificationReport]]


class Verifier:
    """Verifies images of one clone, each once; `fresh` verifies again despite an existing report."""

    def __init__(self, settings: Settings, engine: DockerEngine, progress: Progress, fresh: bool = False) -> None:
        self._settings, self._engine, self._progress, self._fresh = settings, engine, progress, fresh
        self._verdicts = Verdicts(settings.root)

    def run(self, image: Image) -> list[VerificationReport]:
        """Verify an app and its base; if the base is not on the engine, all layers of the app are read."""
        base = self.base(self.base_of(image) or image)
        return [base, self.app(image, base)]

    def base_of(self, image: Image) -> Image | None:
        """The base named in an app's labels, if the engine has it and the app is built on its layers."""
        for name in ("base.digest", "base.name"):
            found = self._engine.image(image.labels.get(OCI + name) or "-")
            if found is not None and _layers(image)[: len(_layers(found))] == _layers(found):
                return found
        return None

    def base(self, image: Image, published: Published = lambda _: ()) -> VerificationReport:
        """Verify layers, size and environment of a base.

        A base with a published report that passed the same checks is not verified again.
        """
        flavour = image.labels.get(FLAVOUR_LABEL, "slim")
        lock = self._apt_lock(image, flavour)
        checks = checksum.of("base", lock or "", str(self._has_gpu(flavour)))
        if known := self._known(image, "base", checks):
            return known
        # An account that may push a base may also push its report, so trusting the report adds no risk.
        if not self._fresh and (known := rules.trusted(published(checks), str(image.id), checks)):
            self._progress.note(f"{image.id} passed these checks, by its report in the registry")
        else:
            self._progress.step(f"scanning every layer of {image.id}")
            output, runs = self._run_script(image, "verify_base.py", gpu=self._has_gpu(flavour))
            environment, drifted = self._environment(image, flavour, output, lock) if output else ([], ())
            lines = (runs, *environment, *_scanned(image, flavour))
            known = VerificationReport(str(image.id), "base", lines, checks, drifted)
        self._verdicts.write(str(image.id), known)
        return known

    def app(self, image: Image, base: VerificationReport) -> VerificationReport:
        """Verify code, identity and voice of an app; the layers of its base are not read."""
        checks = checksum.of("app")
        if known := self._known(image, "app", checks):
            self._verdicts.write(str(image.id), base)  # the base may have been verified again by changed checks
            return known
        from build.audio import signal  # noqa: PLC0415 - imports numpy (0.1 s), which a run without changes avoids

        self._progress.step(f"scanning /app of {image.id}")
        labels, folder = image.labels, layers.read_folder(self._engine, image, "/app")
        release = labels.get(RELEASE_LABEL, "")
        variables = [variable.partition("=") for variable in image.attrs["Config"]["Env"]]
        served = next((value for name, _, value in variables if name == "RELEASE"), "")
        output, runs = self._run_script(image, "verify_app.py", SENTENCE)
        faults = signal.judge(SENTENCE, base64.b64decode(output["wav"]), signal.Expectation()).faults if output else ()
        lines = (
            self._tree(release, folder.blobs),
            *self._above(image),
            line(
                "release",
                bool(release) and served == release,
                f"variable {served or 'none'}, label {release or 'none'}",
            ),
            none_of("labels", [name for name in LABELS if not labels.get(OCI + name)]),
            none_of("secrets in /app", folder.secrets),
            none_of("ownership of /app", folder.loose),
            none_of("unreadable files in /app", folder.unreadable),
            none_of("voice", faults) if output else Line("voice", "failed", runs.detail),
            *image_checks.voice_on_torch(output),
        )
        report = VerificationReport(str(image.id), "app", lines, checks)
        # Store both, so that `switch` reads only the app's file.
        self._verdicts.write(str(image.id), base, report)
        return report

    def proxy(self, image: Image, sources: Mapping[str, TreeEntry]) -> VerificationReport:
        """Verify layers, size, files and configuration of a proxy image.

        Args:
            sources: files of `agent/` and `proxy/` that the image was built from, by path.
        """
        checks = checksum.of("proxy")
        if known := self._known(image, "proxy", checks):
            return known
        self._progress.step(f"verifying the proxy image {image.id}")
        folders = [layers.read_folder(self._engine, image, path) for path in PROXY_FOLDERS]
        found = {path: blob for folder in folders for path, blob in folder.blobs.items()}
        names = {path.removeprefix("proxy/"): entry.blob for path, entry in sources.items()}
        copied = {name: blob for name, blob in names.items() if name != "Dockerfile"}
        lines = (
            none_of("files of the commit", sorted(name for name in copied if found.get(name) != copied[name])),
            none_of("unreadable files", [path for folder in folders for path in folder.unreadable]),
            self._proxy_configuration(image),
            *_scanned(image, "proxy"),
        )
        report = VerificationReport(str(image.id), "proxy", lines, checks)
        self._verdicts.write(str(image.id), report)
        return report

    def _known(self, image: Image, part: Part, checks: str) -> VerificationReport | None:
        if self._fresh:
            return None
        known = rules.known(self._verdicts.read(str(image.id)), str(image.id), part, checks)
        if known and known.failed:
            self._progress.note(f"{image.id} failed an earlier verification, and the same image fails again")
        return known

    def _proxy_configuration(self, image: Image) -> Line:
        """Run HAProxy's own configuration check in the image, as the image's user."""
        name = "configuration is valid"
        environment = {"SUBNET_PREFIX": self._settings.subnet_prefix}
        try:
            answer = oneshot.run(self._engine, str(image.id), ["-c"], limit_s=LIMIT_S, environment=environment)
        except CommandFailedError as error:
            return line(name, False, error.message)
        return line(name, answer.exit_code == 0, (answer.error.splitlines() or [""])[-1] if answer.exit_code else "")

    def _run_script(self, image: Image, script: str, *args: str, gpu: bool = False) -> tuple[dict[str, Any], Line]:
        """Run a script in the image as the service's user; return its output and a line on whether it ran.

        The output is empty if the script failed.
        """
        requests = [DeviceRequest(count=-1, capabilities=[["gpu"]])] if gpu else None
        argv = ["python", "-c", (BUILD / "verify/in_image" / script).read_text(), *args]
        name = f"{script} runs"
        try:
            answer = oneshot.run(
                self._engine,
                str(image.id),
                argv,
                limit_s=LIMIT_S,
                user=f"{APP_UID}:{APP_UID}",  # even if the image sets another user
                tmpfs={"/tmp": ""},  # noqa: S108 - the container's own
                device_requests=requests,
            )
            if answer.exit_code == 0:
                return cast(dict[str, Any], json.loads(answer.text.splitlines()[-1])), line(name, True)
            detail = (answer.error.splitlines() or [f"exit code {answer.exit_code}"])[-1]
        except CommandFailedError as error:
            detail = error.message
        except (ValueError, IndexError) as error:
            detail = f"the script printed no JSON: {error}"
        return {}, line(name, False, detail)

    def _has_gpu(self, flavour: str) -> bool:
        return flavour == "cuda" and bool(self._engine.gpu_runtime)

    def _environment(
        self, image: Image, flavour: str, output: dict[str, Any], apt: str | None
    ) -> tuple[list[Line], tuple[Drift, ...]]:
        texts = {name: text for name, text in output["locks"].items() if name.endswith(".txt")}
        pins = diff.packages("pip", "\n".join(texts.values()))
        lines = image_checks.environment(output, pins, _data()["environment"][flavour])
        if flavour == "cuda":
            facts = compatibility.DeclaredVersions(torch=pins.get("torch", ""))
            lines += image_checks.torch(output, pins, compatibility.torch_cuda(facts, versions.table()))
        locked = diff.LockTexts(tuple(texts.values()) or None, output["locks"].get("conda.lock"))
        try:
            inventory = inventory_reader.read(self._engine, str(image.id))
        except CommandFailedError as error:
            return [*lines, Line("locks", "failed", error.message)], ()
        differences = diff.drift(inventory, locked)
        for kind, text in (("pip", locked.pip), ("conda", locked.conda)):
            of_kind = None if text is None else [package for package in differences if package.kind == kind]
            lines.append(rules.lock_line(kind, of_kind))
        drifted = drift.drift(inventory, AptLock.parse(apt)) if apt is not None else ()
        return [*lines, rules.apt_line(drifted if apt is not None else None)], drifted

    def _apt_lock(self, image: Image, flavour: str) -> str | None:
        path = self._settings.root / apt_locks.apt_lock_name(image, flavour)
        return path.read_text() if path.exists() else None

    def _tree(self, release: str, blobs: dict[str, str]) -> Line:
        root = self._settings.root
        commit = git.commit_of(root, release) if release else ""
        listed = git.tree_files(root, commit, CODE) if commit else {}
        if not listed:
            return Line("files of the commit", "not verified", f"this clone does not know {release or 'the release'}")
        known = {path: entry.blob for path, entry in listed.items()}
        return none_of(
            "files of the commit", sorted(name for name in known | blobs if known.get(name) != blobs.get(name))
        )

    def _above(self, image: Image) -> list[Line]:
        names = ("layers above the base", "configuration")
        base = self.base_of(image)
        if base is None:
            return [Line(name, "not verified", "its base is not on the engine") for name in names]
        with convert_errors():
            steps, below = (
                [str(step["CreatedBy"] or "") for step in reversed(layered.history())] for layered in (image, base)
            )
        if steps[: len(below)] != below:
            above = ["the history differs from the base's"]
        else:
            above = rules.steps_besides_copies(steps[len(below) :], len(_layers(image)) - len(_layers(base)))
        changed = rules.changed_configuration(base.attrs["Config"], image.attrs["Config"])
        return [none_of(name, found) for name, found in zip(names, (above, changed), strict=True)]


def _layers(image: Image) -> list[str]:
    return cast(list[str], image.attrs["RootFS"]["Layers"])


def _data() -> dict[str, Any]:
    return tomllib.loads(DATA.read_text())


def _scanned(image: Image, kind: str) -> list[Line]:
    """Lines about size and forbidden content of all layers.

    Args:
        kind: key of the size budget: a base's flavour, or `proxy`.
    """
    found, expected = layers.scan(image), len(set(_layers(image)))
    size, budget = found.size // 10**6, int(_data()["budget_mb"][kind])
    return [
        line("size", size <= budget, f"{size} MB of {budget} MB"),
        line("every layer was read", found.layers >= expected, f"{found.layers} of {expected}"),
        none_of("secrets", found.secrets),
        none_of("package caches", found.caches),
        none_of("ownership", found.ownership),
        none_of("setuid", found.setuid),
    ]


def verify_reference(
    settings: Settings, engine: DockerEngine, progress: Progress, reference: str, fresh: bool = False
) -> list[VerificationReport]:
    """Verify an image on the engine: two reports (base, app) on an app, one on a base or a proxy.

    Raises:
        ImageNotFoundError: the image is not on the engine.
    """
    image = engine.image(reference)
    if image is None:
        raise ImageNotFoundError(f"{reference} is not on the engine", remedy="build or pull it first")
    verifier = Verifier(settings, engine, progress, fresh)
    if any(tag.partition(":")[0] == PROXY_REPOSITORY for tag in image.tags):
        return [verifier.proxy(image, Sources(settings.root, git.read(settings.root)).files(PROXY_INPUTS))]
    return verifier.run(image) if image.labels.get(RELEASE_LABEL) else [verifier.base(image)]
