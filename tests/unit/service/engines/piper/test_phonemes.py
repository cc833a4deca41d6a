from __future__ import annotations

import gc
import sys
import tracemalloc

from piper import PiperVoice, espeakbridge

from service.engines import embedded_voice

TEXT = "This is a sentence, of some two or three seconds; most of them are."
TEXTS = 200


def test_the_phonemizer_does_not_leak_memory() -> None:
    voice = PiperVoice(session=None, config=embedded_voice.read_config())  # it only converts text
    for _ in range(20):
        embedded_voice.phoneme_ids(voice, TEXT)
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(TEXTS):
            embedded_voice.phoneme_ids(voice, TEXT)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / TEXTS < 50, "bytes per text"


def test_the_patched_phonemizer_returns_valid_clauses() -> None:
    embedded_voice.phoneme_ids(PiperVoice(session=None, config=embedded_voice.read_config()), TEXT)
    espeakbridge.set_voice("en-us")
    clauses = espeakbridge.get_phonemes(TEXT)
    gc.collect()
    assert [sign for _, sign, _ in clauses] == [",", ";", "."]
    assert all(sys.getrefcount(clause) == 3 for clause in clauses), "references: the list, the loop, and getrefcount"
