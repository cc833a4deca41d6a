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


@dataclass(frozen=True)
class Utterance:
    """One thing to say: text already checked for the voice, and speed as a factor (2.0 is twice as fast).

    `prompt` is given only to an engine whose Description says that it can use one.
    """

    text: str
    voice: str
    speed: float = 1.0
    prompt: Prompt | None = None


@dataclass(frozen=True)
class Description:
    """What an engine is and where it runs; `device` is the provider that is really active, "" until loaded.

    `prompts`: it imitates the voice of a Prompt.
    """

    engine: str
    model: str
    device: str
    voices: tuple[Voice, ...]
    concurrency: int
    prompts: bool = False


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

        Nothing but `next` is called on the iterator, so it must need no closing beyond its own deletion.
        """

    def unload(self) -> None:
        """Drop the model and give its memory back; `load` brings it back. Does nothing when not loaded."""

    def describe(self) -> Description:
        """Say what this is; works at any time."""
