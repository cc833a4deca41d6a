"""The golden set's files: read whole, every error at once; and written by calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from build.decisions import audio, golden, speech
from build.decisions.golden import FLOORS, Calibration, GoldenSet
from build.decisions.speech import Deviations, Features
from build.drivers import files
from build.drivers.colour import ServiceContainer
from build.errors import GateRefusedError, GoldenError, MissingFileError
from build.procedures.report import Report
from build.settings import Settings

HEAD = """\
# Written by `python -m build.golden calibrate` from what the release below said; review it like code. `bounds`: how far
# a recording may lie from the reference (see build/decisions/speech.py); `cepstra`: the reference itself, packed.
"""
M = TypeVar("M", bound=golden.Model)


@dataclass(frozen=True)
class Golden:
    """A golden set and what was measured for it; `bounds` are the floors and `stored` empty before a calibration."""

    texts: GoldenSet
    bounds: Deviations
    stored: dict[str, Features]


def paths(settings: Settings) -> tuple[Path, Path]:
    """The set, written by hand, and its calibration."""
    folder = settings.root / "golden"
    return folder / f"{settings.gate_golden}.yaml", folder / "calibrated" / f"{settings.gate_golden}.yaml"


def load(settings: Settings) -> Golden:
    """The golden set in force. A reference whose text was changed since is left out.

    Raises:
        GoldenError: one message with everything that is wrong in both files.
        MissingFileError: there is no such set.
    """
    hand, measured = paths(settings)
    if not hand.exists():
        there = ", ".join(sorted(path.stem for path in hand.parent.glob("*.yaml"))) or "none"
        raise MissingFileError(
            f"there is no golden set {hand}", remedy=f"set gate_golden to one of those that are there: {there}"
        )
    texts, wrong = _read(GoldenSet, hand)
    calibration, also = _read(Calibration, measured) if measured.exists() else (None, [])
    if texts is None or wrong or also:
        raise GoldenError(
            "the golden set cannot be used:\n  " + "\n  ".join(wrong + also),
            remedy=f"correct {hand.name}; write its calibration again with `python -m build.golden calibrate`",
        )
    if calibration is None:
        return Golden(texts, FLOORS, {})
    known = calibration.references
    stored = {text.name: known[text.name] for text in texts.texts if text.name in known}
    current = {name: each.features for name, each in stored.items() if each.say in {text.say for text in texts.texts}}
    return Golden(texts, calibration.bounds, current)


def _read(model: type[M], path: Path) -> tuple[M | None, list[str]]:
    where = f"{path.parent.name}/{path.name}"
    try:
        document: Any = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return None, [f"{where}: no YAML: {str(error).splitlines()[0]}"]
    found, wrong = golden.validate(model, document)
    return found, [f"{where}: {line}" for line in wrong]


def calibrate(
    settings: Settings, release: str, container: ServiceContainer, runs: int, report: Report
) -> tuple[str, str]:
    """Has a release speak every text `runs` times and writes what that makes; the file before and after.

    Raises:
        GateRefusedError: a recording is bad by itself: nothing can be calibrated on that.
    """
    texts = load(settings).texts
    expected = texts.expect.of(container.status().sample_rate)
    spoken: dict[str, list[Features]] = {}
    for text in texts.texts:
        report.step(f"{text.name}, {runs} times")
        for _ in range(runs):
            answer = container.speak(text.say, texts.voice, settings.gate_timeout_s)
            faults = (answer.error,) if answer.error else audio.judge(text.say, answer.wav, expected).faults
            if faults:
                raise GateRefusedError(
                    f"{release} cannot be calibrated on: “{text.say}”: {'; '.join(faults)}",
                    remedy="calibrate on a release that speaks well; nothing was written",
                )
            spoken.setdefault(text.name, []).append(speech.features(*audio.decode(answer.wav)))
    _, path = paths(settings)
    before = path.read_text() if path.exists() else ""
    path.parent.mkdir(exist_ok=True)
    after = HEAD + render(golden.calibrate(release, texts, spoken))
    files.replace(path, after)
    return before, after


def render(calibration: Calibration) -> str:
    """As the file has it."""
    document = calibration.model_dump(mode="json") | {"bounds": asdict(calibration.bounds)}
    return yaml.safe_dump(document, sort_keys=False, width=118)
