"""The golden set's files: one error lists every invalid value; a calibration is read as it was written."""

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
from service.engine import Engine, Utterance, spoken

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


def test_one_error_lists_the_faults_of_both_files_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, "joe.yaml", WRONG)
    write(tmp_path, "calibrated/joe.yaml", "release: a\nruns: 5\nbounds: {wordz: 3}\nreferences: {}\n")
    with pytest.raises(GoldenError) as raised:
        load(Settings(root=tmp_path))
    message = raised.value.message
    for expected in (
        "golden/joe.yaml: expect.silense: unknown field; did you mean silence?",
        "golden/joe.yaml: expect.slower: Input should be greater than 1, not 0.5",
        "golden/joe.yaml: texts.0.voise: unknown field",
        "golden/joe.yaml: texts.1.name: ",
        "golden/joe.yaml: texts.1.say: ",
        "calibrated/joe.yaml: bounds.words: ",
        "calibrated/joe.yaml: bounds.speaker: ",
    ):
        assert expected in message, message


def test_a_duplicate_text_and_invalid_yaml_are_rejected(tmp_path: Path) -> None:
    write(tmp_path, "joe.yaml", "voice: joe\ntexts:\n" + "  - {name: one, say: A sentence to be said.}\n" * 2)
    with pytest.raises(GoldenError, match="two texts have the same name: one"):
        load(Settings(root=tmp_path))
    write(tmp_path, "joe.yaml", "voice: [")
    with pytest.raises(GoldenError, match="not YAML"):
        load(Settings(root=tmp_path))


def test_a_missing_set_is_reported_with_the_existing_ones() -> None:
    with pytest.raises(MissingFileError) as raised:
        load(Settings(root=REPOSITORY, gate_golden="jo"))
    assert "joe" in raised.value.remedy


def test_a_reference_is_ignored_after_its_text_changed(tmp_path: Path) -> None:
    complete = load(Settings(root=REPOSITORY))
    assert complete.stored.keys() == {text.name for text in complete.texts.texts}
    hand, measured = (REPOSITORY / "golden" / name for name in ("joe.yaml", "calibrated/joe.yaml"))
    write(tmp_path, "joe.yaml", hand.read_text().replace("welcome back", "welcome home"))
    write(tmp_path, "calibrated/joe.yaml", measured.read_text())
    assert load(Settings(root=tmp_path)).stored.keys() == complete.stored.keys() - {"evening"}


def test_a_set_without_a_quality_check_stays_without_one_when_it_is_calibrated(tmp_path: Path) -> None:
    for name in ("joe.yaml", "calibrated/joe.yaml"):
        write(tmp_path, name, (REPOSITORY / "golden" / name).read_text().replace("quality: 2.7 ", "quality: null "))
    assert load(Settings(root=REPOSITORY)).quality is not None
    assert load(Settings(root=tmp_path)).quality is None


def test_a_calibration_covers_the_spread_and_survives_a_round_trip(piper: Engine) -> None:
    texts = GoldenSet.model_validate({"voice": "joe", "texts": [{"name": "a", "say": "Good evening."}]})
    takes = []
    for _ in range(3):
        pieces = list(spoken(piper, Utterance("Good evening.", "joe")))
        samples = np.concatenate(pieces).astype(np.float32) / np.float32(32768)
        takes.append(features.features(samples, 22050, speaker.embedding(samples, 22050)))
    calibration = golden.calibrate("abc", texts, {"a": takes}, [3.3, 3.15, 3.4])
    assert calibration.quality == pytest.approx(3.06)
    read = Calibration.model_validate(yaml.safe_load(render(calibration)))
    assert read == calibration
    assert read.speaker >= SPEAKER_FLOOR
    assert all(value >= asdict(FLOORS)[name] for name, value in asdict(read.bounds).items())
    reference = read.references["a"].features
    for take in takes:
        apart = asdict(features.deviations(take, reference))
        assert all(value <= asdict(read.bounds)[name] for name, value in apart.items()), apart


def test_equal_recordings_have_no_deviation_and_packing_only_rounds() -> None:
    tone = (0.3 * np.sin(np.arange(22050) * 0.05)).astype(np.float32)
    recorded = features.features(tone, 22050)
    assert max(asdict(features.deviations(recorded, recorded)).values()) < 1e-6
    centred = recorded.cepstra.copy()
    centred[:, 0] -= centred[:, 0].mean()
    assert np.abs(features.unpack(features.pack(recorded.cepstra)) - centred.clip(-127, 127)).max() <= 0.5
    with pytest.raises(ValueError, match="packed"):
        features.unpack("???")
