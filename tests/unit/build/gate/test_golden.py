"""The golden set's files: everything that is wrong is told at once; a calibration comes back as it was written."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml

from build.audio import features, speaker
from build.errors import GoldenError, MissingFileError
from build.gate import golden
from build.gate.golden import FLOORS, SPEAKER_FLOOR, Calibration, GoldenSet
from build.gate.golden_files import load, render
from build.settings import Settings
from harness.stack import REPOSITORY
from service.engine import Engine, Utterance

WRONG = """
voice: joe
expect: {silense: 0.3, slower: 0.5}
texts:
  - {name: one, say: A sentence to be said., voise: joe}
  - {name: Two!, say: short}
"""


def write(root: Path, name: str, text: str) -> None:
    path = root / "golden" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_every_error_of_both_files_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, "joe.yaml", WRONG)
    write(tmp_path, "calibrated/joe.yaml", "release: a\nruns: 5\nbounds: {wordz: 3}\nreferences: {}\n")
    with pytest.raises(GoldenError) as raised:
        load(Settings(root=tmp_path))
    said = raised.value.message
    for each in (
        "golden/joe.yaml: expect.silense: no such field; did you mean silence?",
        "golden/joe.yaml: expect.slower: Input should be greater than 1, not 0.5",
        "golden/joe.yaml: texts.0.voise: no such field",
        "golden/joe.yaml: texts.1.name: ",
        "golden/joe.yaml: texts.1.say: ",
        "calibrated/joe.yaml: bounds.words: ",
        "calibrated/joe.yaml: bounds.speaker: ",
    ):
        assert each in said, said


def test_a_text_given_twice_and_no_yaml_are_told(tmp_path: Path) -> None:
    write(tmp_path, "joe.yaml", "voice: joe\ntexts:\n" + "  - {name: one, say: A sentence to be said.}\n" * 2)
    with pytest.raises(GoldenError, match="name given twice: one"):
        load(Settings(root=tmp_path))
    write(tmp_path, "joe.yaml", "voice: [")
    with pytest.raises(GoldenError, match="no YAML"):
        load(Settings(root=tmp_path))


def test_a_set_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(MissingFileError) as raised:
        load(Settings(root=REPOSITORY, gate_golden="jo"))
    assert "joe" in raised.value.remedy


def test_a_reference_whose_text_was_changed_is_no_reference(tmp_path: Path) -> None:
    whole = load(Settings(root=REPOSITORY))
    assert whole.stored.keys() == {text.name for text in whole.texts.texts}
    hand, measured = (REPOSITORY / "golden" / name for name in ("joe.yaml", "calibrated/joe.yaml"))
    write(tmp_path, "joe.yaml", hand.read_text().replace("welcome back", "welcome home"))
    write(tmp_path, "calibrated/joe.yaml", measured.read_text())
    assert load(Settings(root=tmp_path)).stored.keys() == whole.stored.keys() - {"evening"}


def test_a_calibration_holds_the_spread_and_comes_back_as_written(piper: Engine) -> None:
    texts = GoldenSet.model_validate({"voice": "joe", "texts": [{"name": "a", "say": "Good evening."}]})
    takes = []
    for _ in range(3):
        pieces = [piece.samples for piece in piper.synthesize(Utterance("Good evening.", "joe"))]
        samples = np.concatenate(pieces).astype(np.float32) / np.float32(32768)
        takes.append(features.features(samples, 22050, speaker.embedding(samples, 22050)))
    made = golden.calibrate("abc", texts, {"a": takes}, [3.3, 3.15, 3.4])
    assert made.quality == pytest.approx(3.06)
    back = Calibration.model_validate(yaml.safe_load(render(made)))
    assert back == made
    assert back.speaker >= SPEAKER_FLOOR
    assert all(value >= asdict(FLOORS)[name] for name, value in asdict(back.bounds).items())
    reference = back.references["a"].features
    for take in takes:
        apart = asdict(features.deviations(take, reference))
        assert all(value <= asdict(back.bounds)[name] for name, value in apart.items()), apart


def test_the_same_recording_lies_nowhere_apart_and_packing_rounds_only() -> None:
    tone = (0.3 * np.sin(np.arange(22050) * 0.05)).astype(np.float32)
    heard = features.features(tone, 22050)
    assert max(asdict(features.deviations(heard, heard)).values()) < 1e-6
    centred = heard.cepstra.copy()
    centred[:, 0] -= centred[:, 0].mean()
    assert np.abs(features.unpack(features.pack(heard.cepstra)) - centred.clip(-127, 127)).max() <= 0.5
    with pytest.raises(ValueError, match="packed"):
        features.unpack("???")
