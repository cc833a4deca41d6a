"""Read the golden set's files, with all errors at once, and write the calibration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import yaml

from build.audio import dnsmos, features, signal, speaker
from build.audio.features import Deviations, Features
from build.errors import GateRefusedError, GoldenError, MissingFileError
from build.gate import golden
from build.gate.golden import FLOORS, SPEAKER_FLOOR, Calibration, GoldenSet
from build.progress import Progress
from build.settings import Settings
from build.system import files
from build.target.container import ServiceContainer

HEAD = """\
# Written by `python -m build.golden calibrate` from recordings of the release below; review it like code. `bounds`:
# the largest allowed deviations of a recording from its reference (class Deviations in build/audio/features.py);
# `quality`: the minimum DNSMOS of all texts in a row; `speaker`: the largest allowed distance of the speaker of all
# texts together from the references. `cepstra` and `speaker` of a reference are packed features.
"""
M = TypeVar("M", bound=golden.Model)


@dataclass(frozen=True)
class Golden:
    """A golden set with its calibration; before a calibration `bounds` are the floors and `stored` is empty.

    `quality` is the minimum DNSMOS of all texts in a row, `speaker` the maximum distance of their speaker.
    """

    texts: GoldenSet
    bounds: Deviations
    quality: float | None
    speaker: float
    stored: dict[str, Features]


def paths(settings: Settings) -> tuple[Path, Path]:
    """Return the paths of the hand-written set and of its calibration."""
    hand = settings.golden
    return hand, hand.parent / "calibrated" / hand.name


def load(settings: Settings) -> Golden:
    """Load the golden set; references whose text has changed since are omitted.

    Raises:
        GoldenError: one message with all errors of both files.
        MissingFileError: the set does not exist.
    """
    hand, measured = paths(settings)
    texts, wrong = _texts(hand)
    calibration, also = _read(Calibration, measured) if measured.exists() else (None, [])
    texts = _usable(texts, wrong + also, hand)
    if calibration is None:
        return Golden(texts, FLOORS, texts.expect.quality, SPEAKER_FLOOR, {})
    known = calibration.references
    stored = {text.name: known[text.name] for text in texts.texts if text.name in known}
    says = {text.say for text in texts.texts}
    current = {name: reference.features for name, reference in stored.items() if reference.say in says}
    quality = None if texts.expect.quality is None else calibration.quality
    return Golden(texts, calibration.bounds, quality, calibration.speaker, current)


def _texts(hand: Path) -> tuple[GoldenSet | None, list[str]]:
    if hand.exists():
        return _read(GoldenSet, hand)
    existing = ", ".join(sorted(path.stem for path in hand.parent.glob("*.yaml"))) or "none"
    raise MissingFileError(
        f"the golden set {hand} does not exist",
        remedy=f"set gate_golden to an existing one in {hand.parent}: {existing}",
    )


def _usable(texts: GoldenSet | None, wrong: list[str], hand: Path) -> GoldenSet:
    if texts is None or wrong:
        raise GoldenError(
            "the golden set is invalid:\n  " + "\n  ".join(wrong),
            remedy=f"correct {hand}; renew its calibration with `python -m build.golden calibrate`",
        )
    return texts


def _read(model: type[M], path: Path) -> tuple[M | None, list[str]]:
    where = f"{path.parent.name}/{path.name}"
    try:
        document: Any = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return None, [f"{where}: not YAML: {str(error).splitlines()[0]}"]
    found, wrong = golden.validate(model, document)
    return found, [f"{where}: {line}" for line in wrong]


def calibrate(
    settings: Settings, release: str, container: ServiceContainer, runs: int, progress: Progress
) -> tuple[str, str]:
    """Record every text `runs` times with a release and write the calibration; return the file before and after.

    Raises:
        GateRefusedError: a recording is faulty, so nothing is calibrated.
    """
    hand, path = paths(settings)
    texts = _usable(*_texts(hand), hand)  # the existing calibration may be invalid and is not read
    expected = texts.expect.of(container.status().sample_rate)
    recorded: dict[str, list[Features]] = {}
    takes: list[list[npt.NDArray[np.float32]]] = [[] for _ in range(runs)]
    rate = 0
    for text in texts.texts:
        progress.step(f"recording {text.name} {runs} times")
        for take in takes:
            response = container.speak(text.say, texts.voice, settings.gate_timeout_s)
            faults = (response.error,) if response.error else signal.judge(text.say, response.wav, expected).faults
            if faults:
                raise GateRefusedError(
                    f"{release} cannot serve as the reference: “{text.say}”: {'; '.join(faults)}",
                    remedy="calibrate on a good release: `python -m build.golden calibrate REF`; nothing was written",
                )
            samples, rate = signal.decode(response.wav)
            recorded.setdefault(text.name, []).append(
                features.features(samples, rate, speaker.embedding(samples, rate))
            )
            take.append(samples)
    before = path.read_text() if path.exists() else ""
    path.parent.mkdir(exist_ok=True)
    qualities = [dnsmos.quality(np.concatenate(take), rate) for take in takes]
    after = HEAD + render(golden.calibrate(release, texts, recorded, qualities))
    files.replace(path, after)
    return before, after


def render(calibration: Calibration) -> str:
    """Return the calibration as YAML."""
    document = calibration.model_dump(mode="json") | {"bounds": asdict(calibration.bounds)}
    return yaml.safe_dump(document, sort_keys=False, width=118)
