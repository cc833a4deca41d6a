"""What an engine is: the protocol that the rest of the service is written against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.int16]
"""Mono samples, shape [n], at the engine's `sample_rate`."""


class Piece(NamedTuple):
    """A stretch of speech, about a sentence; `last` spares a turn in the queue just to find the end."""

    samples: Audio
    last: bool


class EngineError(Exception):
    """The engine cannot do what it is for: a missing file, a provider that is not there, silent speech."""


class NoMemoryError(EngineError):
    """There was too little memory for this utterance; the engine has given back what it took, and can speak on."""


class BrokenError(EngineError):
    """The engine will not speak again: only a new process can."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Was it, or was its cause, too little memory, be it the host's or a GPU's?"""
    while error is not None:
        # torch's own is known by its name: there is not a torch in every flavour.
        if isinstance(error, (MemoryError, NoMemoryError)) or type(error).__name__ == "OutOfMemoryError":
            return True
        error = error.__cause__
    return False


@dataclass(frozen=True)
class Voice:
    """A voice that can be asked for by its `id`; `language` (ISO 639-1) decides which characters it can read."""

    id: str
    name: str
    language: str


@dataclass(frozen=True, eq=False)
class Prompt:
    """A voice to imitate: int16 mono `samples` [n] at `sample_rate` Hz, and what is said in them ("" if unknown)."""

    samples: Audio
    sample_rate: int
    text: str

    @property
    def seconds(self) -> float:
        return self.samples.size / self.sample_rate


@dataclass(frozen=True)
class Utterance:
    """One thing to say: text already checked for the voice, and speed as a factor (2.0 is twice as fast).

    With the same `seed` it is said the same way again, without one another way each time. `seed` and `prompt` are given
    only to an engine whose Description says that it can do them.
    """

    text: str
    voice: str
    speed: float = 1.0
    seed: int | None = None
    prompt: Prompt | None = None


@dataclass(frozen=True)
class Description:
    """What an engine is and where it runs; `device` is the provider that is really active, "" until loaded.

    `seeds`: the same seed gives the same audio. `prompts`: it imitates the voice of a Prompt, and with `transcripts`
    only one that comes with its text. `speeds`: it can speak faster and slower.
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


class Engine(Protocol):
    """One model per process. `synthesize` is called from worker threads, at most `concurrency` at a time."""

    sample_rate: int
    """Samples per second (Hz); valid once loaded."""

    def prepare(self) -> None:
        """Import what `load` needs, and take no memory for a model (blocking)."""

    def load(self, progress: Callable[[str], None]) -> None:
        """Load the model (blocking); call `progress(step)` after each step. Raise EngineError when it cannot be."""

    def synthesize(self, utterance: Utterance) -> Iterator[Piece]:
        """Yield the speech piece by piece, about a sentence each: the caller may stop between any two.

        Raise NoMemoryError or BrokenError where they fit; any other error costs this utterance alone.
        Nothing but `next` is called on the iterator, so it must need no closing beyond its own deletion.
        """

    def unload(self) -> None:
        """Drop the model and give its memory back; `load` brings it back. Does nothing when not loaded."""

    def describe(self) -> Description:
        """Say what this is; works at any time."""
