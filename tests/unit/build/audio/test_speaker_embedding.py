"""The speaker embedding equals that of Resemblyzer on torch; its weights are read without trusting their file."""

from __future__ import annotations

import json
import os
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr

from build.audio import signal, speaker, speaker_embedding, torch_weights
from build.audio.speaker_embedding import NO_EMBEDDING
from build.errors import MissingFileError
from build.gate import verdict
from harness.stack import REPOSITORY

GENUINE = json.loads((Path(__file__).parent / "resemblyzer.json").read_text())
SAMPLE, RATE = signal.decode((REPOSITORY / "voices/examples/sample.wav").read_bytes())
RECORDINGS = {"whole": SAMPLE, "first second": SAMPLE[:16000], "quiet": SAMPLE * np.float32(0.02)}


@pytest.fixture(scope="module")
def weights() -> Path:
    """The locked file of weights."""
    package = find_spec("resemblyzer")
    assert package
    assert package.origin
    return Path(package.origin).parent / "pretrained.pt"


@pytest.mark.parametrize("name", GENUINE["embeddings"])
def test_the_embedding_equals_that_of_resemblyzer_on_torch(name: str) -> None:
    assert np.abs(speaker.embedding(RECORDINGS[name], RATE) - GENUINE["embeddings"][name]).max() < 1e-4


def test_the_mel_bands_equal_those_of_librosa() -> None:
    assert speaker_embedding.mel(SAMPLE).mean(0) == pytest.approx(GENUINE["mel"], rel=1e-4)


def test_the_sample_rate_does_not_change_the_embedding() -> None:
    fine = soxr.resample(SAMPLE, RATE, 22050)
    assert speaker_embedding.apart(speaker.embedding(fine, 22050), speaker.embedding(SAMPLE, RATE)) < 1e-4


def test_packing_changes_the_embedding_by_less_than_a_hundredth_of_its_bound() -> None:
    one = speaker.embedding(SAMPLE, RATE)
    assert speaker_embedding.apart(speaker_embedding.unpack(speaker_embedding.pack(one)), one) < 1e-4
    for wrong in ("???", "", "AAAA", speaker_embedding.pack(one)[:-8]):
        with pytest.raises(ValueError, match="embedding"):
            speaker_embedding.unpack(wrong)


def test_a_missing_embedding_has_distance_zero() -> None:
    one = speaker.embedding(SAMPLE, RATE)
    assert speaker_embedding.apart(NO_EMBEDDING, one) == speaker_embedding.apart(one, NO_EMBEDDING) == 0
    assert not len(speaker_embedding.together([one, NO_EMBEDDING]))
    assert not len(speaker_embedding.together([]))


def test_a_live_release_whose_speaker_drifted_is_not_a_reference() -> None:
    stored = np.array([1, 0], np.float32)
    near, far = np.array([0.999, 0.0447], np.float32), np.array([0.8, 0.6], np.float32)
    assert verdict.speaker_faults(near, stored, NO_EMBEDDING, 0.01)[1] == []
    assert "over all texts" in verdict.speaker_faults(far, stored, far, 0.01)[1][0]
    assert verdict.speaker_faults(far, NO_EMBEDDING, far, 0.01)[1] == []
    assert (
        verdict.speaker_faults(NO_EMBEDDING, stored, far, 0.01)
        == verdict.speaker_faults(near, NO_EMBEDDING, NO_EMBEDDING, 0.01)
        == (None, [])
    )


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def test_a_weights_file_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(torch_weights.MAGIC) + pickle.dumps(Evil()))
    with pytest.raises(MissingFileError, match="mkdir, which weights do not need"):
        speaker.network(tmp_path / "evil.pt")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda whole: whole[: len(whole) // 2], "bytes of a storage: truncated"),
        (lambda whole: whole[:3000], "invalid or truncated"),
        (lambda _: b"", "invalid or truncated"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "invalid or truncated"),
        (lambda _: 5 * pickle.dumps(1), "no torch file"),
        (lambda whole: whole.replace(b"linear.bias", b"linear.bile"), "linear.bias is missing"),
    ],
)
def test_invalid_weights_are_reported_with_a_remedy(weights: Path, tmp_path: Path, corrupt: Any, message: str) -> None:
    broken = tmp_path / "pretrained.pt"
    broken.write_bytes(corrupt(weights.read_bytes()))
    with pytest.raises(MissingFileError, match=message) as raised:
        speaker.network(broken)
    assert str(broken) in raised.value.message
    assert "scripts/bootstrap" in raised.value.remedy


def test_missing_weights_are_reported(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="cannot be used"):
        speaker.network(tmp_path / "pretrained.pt")


def test_a_network_of_another_shape_is_rejected(weights: Path) -> None:
    found = torch_weights.read(weights, "model_state")
    with pytest.raises(ValueError, match=r"linear.bias is \[2\], not \[256\]"):
        speaker_embedding.network(found | {"linear.bias": np.zeros(2, np.float32)})
