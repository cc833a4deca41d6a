"""The engine protocol, the interface between the service and its engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from service.sentence import Sentence as Sentence  # noqa: PLC0414 - engines import it from here

Audio = NDArray[np.int16]
"""Mono samples, shape [n], at the engine's `sample_rate`."""


class Piece(NamedTuple):
    """Piece of speech, about a sentence long.

    `last` marks the final piece: the scheduler needs no further turn to detect the end.
    """

    samples: Audio
    last: bool


class EngineError(Exception):
    """Engine failure: a missing file, an unavailable provider, silent output."""


class NoMemoryError(EngineError):
    """Out of memory for this utterance; the engine has released its memory and can continue."""


class EngineFatalError(EngineError):
    """The engine can no longer synthesize; only a new process helps."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether the error or one of its causes is out of memory, on the host or the GPU."""
    while error is not None:
        # Compare the name of torch's error: not every flavour has torch.
        if isinstance(error, (MemoryError, NoMemoryError)) or type(error).__name__ == "OutOfMemoryError":
            return True
        error = error.__cause__
    return False


@dataclass(frozen=True)
class Voice:
    """Voice with the `id` that requests name; `language` (ISO 639-1) defines the characters it can read."""

    id: str
    name: str
    language: str


@dataclass(frozen=True, eq=False)
class VoiceReference:
    """Reference recording for voice cloning.

    `samples` are int16 mono [n] at `sample_rate` Hz; `text` is their transcript ("" if unknown).
    """

    samples: Audio
    sample_rate: int
    text: str

    @property
    def seconds(self) -> float:
        return self.samples.size / self.sample_rate


@dataclass(frozen=True)
class Utterance:
    """One text to synthesize, already checked for the voice; `speed` is a factor (2.0 is twice as fast).

    The same `seed` gives the same speech; without a seed each synthesis differs. `seed` and `prompt` are set only if
    the engine's Description supports them. `sentences` are those of `text`, in order; empty: the text was not split.
    `dropped` names what the front end left out of the client's text, in ASCII.
    """

    text: str
    voice: str
    speed: float = 1.0
    seed: int | None = None
    prompt: VoiceReference | None = None
    sentences: tuple[Sentence, ...] = ()
    dropped: str = ""


@dataclass(frozen=True)
class Description:
    """Properties of an engine; `device` is the provider in use, "" until the model is loaded.

    `seeds`: the same seed gives the same audio. `prompts`: it clones the voice of a VoiceReference, whose text it needs
    if `transcripts`. `speeds`: it can change the speaking rate. `normalizes`: it reads numbers, dates and
    abbreviations itself.
    """

    engine: str
    model: str
    device: str
    voices: tuple[Voice, ...]
    concurrency: int
    seeds: bool = False
    prompts: bool = False
    transcripts: bool = False
    speeds: bool = True
    normalizes: bool = False


class Engine(Protocol):
    """One model per process. Worker threads call `synthesize`, at most `concurrency` at a time."""

    sample_rate: int
    """Samples per second (Hz); valid once loaded."""

    def prepare(self) -> None:
        """Import the modules that `load` needs, without allocating memory for a model (blocking)."""

    def load(self, progress: Callable[[str], None]) -> None:
        """Load the model (blocking); call `progress(step)` after each step. Raise EngineError on failure."""

    def synthesize(self, utterance: Utterance) -> Iterator[Piece]:
        """Yield the speech in pieces of about a sentence; the caller may stop between any two.

        Raise NoMemoryError or EngineFatalError where they apply; any other error fails this utterance alone. The caller
        uses only `next` on the iterator, so deletion must be enough to clean it up.
        """

    def unload(self) -> None:
        """Drop the model and free its memory; `load` restores it. No effect if no model is loaded."""

    def describe(self) -> Description:
        """Return the properties of the engine; callable at any time."""
