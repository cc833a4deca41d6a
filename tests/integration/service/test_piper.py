from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.engine import Engine, EngineError, Sentence, Utterance, spoken
from service.engines.embedded_voice import split_phonemes
from service.engines.piper import PiperEngine


def say(engine: Engine, text: str, speed: float = 1.0) -> list[np.ndarray]:
    return list(spoken(engine, Utterance(text, "joe", speed)))


def test_a_sentence_is_audible(piper: Engine) -> None:
    (samples,) = say(piper, "Good morning.")
    assert samples.dtype == np.int16
    assert 0.4 < samples.size / piper.sample_rate < 2.0
    assert 10_000 < np.abs(samples).max() < 0.95 * 32767
    assert piper.describe().device == "CPUExecutionProvider"


def test_each_sentence_is_a_chunk(piper: Engine) -> None:
    assert len(piper.plan(Utterance("One. Two. Three.", "joe"))) == 3


def test_given_sentences_are_not_split_again(piper: Engine) -> None:
    given = (Sentence("Here is St. Mary! Are you there?", 0.5), Sentence("and so on " * 35, 0.25), Sentence("End."))
    chunks = piper.plan(Utterance("", "joe", sentences=given))
    assert [chunk.pause_s for chunk in chunks] == [0.5, 0.0, 0.25, 0.0]
    first, *_ = spoken(piper, Utterance("", "joe", sentences=given))
    assert not first[-piper.sample_rate // 2 :].any()
    assert first[: -piper.sample_rate // 2].any()


def test_a_higher_speed_shortens_the_speech(piper: Engine) -> None:
    text = "This sentence takes a while."
    slow, fast = (sum(map(len, say(piper, text, speed))) for speed in (0.5, 2.0))
    assert 2.5 < slow / fast < 6


@pytest.mark.parametrize("speed", [1.0, 0.25])
def test_a_long_sentence_is_split_into_bounded_pieces(piper: Engine, speed: float) -> None:
    pieces = say(piper, "and so on " * 35, speed)
    assert len(pieces) > 1
    assert max(map(len, pieces)) < 30 * piper.sample_rate


@pytest.mark.parametrize("text", ["[[ab]] word", "[[[ab]]] word", "[[[[ab]] word"])
def test_brackets_are_not_read_as_raw_phonemes(piper: Engine, text: str) -> None:
    read = piper.plan(Utterance(text, "joe"))[0].payload.ids
    assert read == piper.plan(Utterance("ab word", "joe"))[0].payload.ids


def test_a_seed_repeats_the_speech_beside_other_syntheses(piper: Engine) -> None:
    def seeded(seed: int) -> bytes:
        pieces = spoken(piper, Utterance("One is this. Two is that.", "joe", seed=seed))
        return b"".join(samples.tobytes() for samples in pieces)

    first, other = seeded(7), seeded(8)
    assert first != other
    with ThreadPoolExecutor(4) as pool:
        repeated = list(pool.map(seeded, [7, 8, 7, 8]))
    assert repeated == [first, other, first, other]
    assert say(piper, "One is this.")[0].tobytes() != say(piper, "One is this.")[0].tobytes(), "without a seed"


def test_sentences_are_split_after_the_strongest_break() -> None:
    assert ["".join(piece) for piece in split_phonemes(list("aa bb, cc dd ee"), limit=9)] == ["aa bb,", " cc dd ee"]
    assert ["".join(piece) for piece in split_phonemes(list("abcdefgh"), limit=3)] == ["abc", "def", "gh"]
    assert list(split_phonemes([])) == []


def test_unload_drops_the_model_and_load_restores_it() -> None:
    engine = PiperEngine(2)
    engine.load(lambda _step: None)
    (session,) = [weakref.ref(model.front.session) for model in engine._models.values()]
    engine.unload()
    gc.collect()
    assert session() is None
    assert engine.describe().device == ""
    with pytest.raises(EngineError, match="not loaded"):
        say(engine, "Hello.")
    engine.load(lambda _step: None)
    assert say(engine, "Hello.")
