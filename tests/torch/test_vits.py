"""The embedded voice on torch against the same voice on onnxruntime."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from piper.config import SynthesisConfig

from service.engine import EngineError, Utterance, spoken
from service.engines import embedded_voice
from service.engines.piper import PiperEngine
from service.engines.vits import VitsEngine
from service.engines.vits.model import Scales
from tests.torch.support import runtime

SENTENCES = (
    "Yes.",
    "Good morning.",
    "No, not now!",
    "How far is it from here to the station?",
    "Every sentence that you hear was made a moment ago.",
    "The quick brown fox jumps over the lazy dog.",
    "On the 3rd of May 1984, forty-two people measured 3.75 metres of rain.",
    "She sells sea shells by the sea shore; the shells she sells are surely sea shells.",
    "Dr. Smith's e-mail (sent at 10:45 a.m.) said: please, come quickly...",
    "Whether the weather be fine or whether the weather be not, whether the weather be cold or whether the weather be "
    "hot, we'll weather the weather, whatever the weather, whether we like it or not.",
)
TEXT = "This sentence takes a while, so that its length says something."


def say(engine: VitsEngine | PiperEngine, text: str, speed: float = 1.0, seed: int | None = None) -> np.ndarray:
    return np.concatenate(list(spoken(engine, Utterance(text, "joe", speed, seed))))


@pytest.mark.parametrize("text", SENTENCES)
def test_without_noise_the_audio_equals_onnxruntimes(
    vits: VitsEngine, piper: PiperEngine, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    differs = max(differences(vits, piper, text, length=1.0))
    with capsys.disabled():
        print(f" {differs:.1e}", end="")
    assert differs < 1e-3


@pytest.mark.parametrize("length", [0.25, 0.5, 2.0, 4.0])
def test_without_noise_the_audio_equals_onnxruntimes_at_any_speed(
    vits: VitsEngine, piper: PiperEngine, length: float
) -> None:
    assert max(differences(vits, piper, TEXT, length)) < 1e-3


def differences(vits: VitsEngine, piper: PiperEngine, text: str, length: float) -> list[float]:
    """Return the largest difference from onnxruntime's samples of each piece, without noise."""
    (model,) = piper._models.values()
    silent = SynthesisConfig(noise_scale=0, noise_w_scale=0, length_scale=length)
    found = []
    for ids in embedded_voice.phoneme_ids(model.front, text):
        theirs = np.asarray(model.front.phoneme_ids_to_audio(ids, silent))
        ours = runtime(vits).speak(ids, Scales(0, length, 0), torch.Generator())
        assert ours.shape == theirs.shape
        assert np.abs(theirs).max() > 0.05
        found.append(float(np.abs(ours - theirs).max()))
    return found


def test_with_noise_length_and_level_equal_onnxruntimes(vits: VitsEngine, piper: PiperEngine) -> None:
    def measured(engine: VitsEngine | PiperEngine) -> tuple[float, float]:
        takes = [say(engine, TEXT).astype(float) for _ in range(24)]
        levels = [np.sqrt(np.mean(np.square(samples))) for samples in takes]
        return float(np.mean([len(samples) for samples in takes])), float(np.mean(levels))

    (length, level), (usual_length, usual_level) = measured(vits), measured(piper)
    # Takes differ in length by up to a fifth; the difference of two means of 24 has a spread of 2.5 %.
    assert length == pytest.approx(usual_length, rel=0.1)
    assert level == pytest.approx(usual_level, rel=0.25)


def test_the_same_seed_gives_the_same_audio(vits: VitsEngine) -> None:
    first, repeated, other = (say(vits, "Good morning. And now?", seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(first, repeated)
    assert not np.array_equal(first, other)
    assert not np.array_equal(say(vits, "Good morning."), say(vits, "Good morning."))


def test_speed_shortens_the_audio(vits: VitsEngine) -> None:
    slow, fast = (len(say(vits, TEXT, speed, seed=1)) for speed in (0.5, 2.0))
    assert 2 < slow / fast < 4, "a quarter of the length, apart from rounding"


def test_each_sentence_is_a_piece(vits: VitsEngine) -> None:
    pieces = list(spoken(vits, Utterance("One. Two. Three.", "joe")))
    assert len(pieces) == 3
    assert {samples.dtype for samples in pieces} == {np.dtype(np.int16)}
    assert all(10_000 < np.abs(samples).max() < 0.95 * 32767 for samples in pieces)
    assert vits.sample_rate == 22050


def test_a_long_sentence_is_cut_into_bounded_pieces(vits: VitsEngine) -> None:
    pieces = list(spoken(vits, Utterance("and so on " * 35, "joe")))
    assert len(pieces) > 1
    assert max(map(len, pieces)) < 30 * vits.sample_rate


def test_unload_frees_the_model_and_load_restores_it() -> None:
    engine = VitsEngine(1, "cpu")
    steps: list[str] = []
    assert engine.describe().device == ""
    engine.unload()
    engine.load(steps.append)
    assert len(steps) >= 4
    assert engine.describe().device == "cpu"
    parameters = [weakref.ref(parameter) for parameter in runtime(engine).network.parameters()]
    engine.unload()
    gc.collect()
    assert len(parameters) == 350
    assert not any(reference() is not None for reference in parameters)
    assert engine.describe().device == ""
    with pytest.raises(EngineError, match="not loaded"):
        say(engine, "Hello.")
    engine.load(steps.append)
    assert say(engine, "Hello.").any()
