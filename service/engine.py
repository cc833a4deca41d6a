"""The engine protocol, the interface between the service and its engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.int16]
"""Mono samples, shape [n], at the engine's `sample_rate`."""


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
class Sentence:
    """One sentence as it is spoken, and the silence after it in seconds, beside what the model itself leaves."""

    text: str
    pause_s: float = 0.0


@dataclass(frozen=True)
class Utterance:
    """One text to synthesize, already checked for the voice; `speed` is a factor (2.0 is twice as fast).

    The same `seed` gives the same speech; without a seed each synthesis differs. `seed` and `prompt` are set only if
    the engine's Description supports them. `sentences` are those of `text`, in order; empty: the text was not split.
    """

    text: str
    voice: str
    speed: float = 1.0
    seed: int | None = None
    prompt: VoiceReference | None = None
    sentences: tuple[Sentence, ...] = ()


@dataclass(frozen=True, eq=False)
class Chunk:
    """One inference of a text: a sentence, or part of a long one.

    `payload` belongs to the engine alone. `work` is the expected work relative to the text's other chunks (characters,
    phonemes). `pause_s` seconds of silence follow the speech.
    """

    payload: Any
    work: float
    pause_s: float = 0.0


@dataclass(frozen=True)
class Description:
    """Properties of an engine; `device` is the provider in use, "" until the model is loaded.

    `seeds`: the same seed gives the same audio. `prompts`: it clones the voice of a VoiceReference, whose text it needs
    if `transcripts`. `speeds`: it can change the speaking rate. `parallel`: the chunks of one text may be spoken at the
    same time and in any order; otherwise one after the other. `characters_per_s`: characters that one inference speaks
    per second of its time, a first estimate that the scheduler corrects by what it measures.
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
    parallel: bool = True
    characters_per_s: float = 100.0


class Engine(Protocol):
    """One model per process. Worker threads call `plan` and `speak`, at most `concurrency` at a time."""

    sample_rate: int
    """Samples per second (Hz); valid once loaded."""

    def prepare(self) -> None:
        """Import the modules that `load` needs, without allocating memory for a model (blocking)."""

    def load(self, progress: Callable[[str], None]) -> None:
        """Load the model (blocking); call `progress(step)` after each step. Raise EngineError on failure."""

    def plan(self, utterance: Utterance) -> Sequence[Chunk]:
        """Split a text into inferences (blocking): one for each sentence, several for a long one.

        The engine splits the text itself if `utterance.sentences` is empty.
        """

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:
        """Return the speech of one chunk, without its pause (blocking).

        `alone`: no other inference runs or waits, so this one may use all processors. The chunks of a text come in any
        order and in parallel, or one after the other if the Description says so; the last ones may never come. Raise
        NoMemoryError or EngineFatalError where they apply; any other error fails this text alone.
        """

    def unload(self) -> None:
        """Drop the model and free its memory; `load` restores it. No effect if no model is loaded."""

    def describe(self) -> Description:
        """Return the properties of the engine; callable at any time."""


class Speaker(Protocol):
    """The part of an Engine that speaks."""

    @property
    def sample_rate(self) -> int: ...

    def plan(self, utterance: Utterance) -> Sequence[Chunk]: ...

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio: ...


def speak(engine: Speaker, chunk: Chunk, *, alone: bool = False) -> Audio:
    """Return the speech of a chunk and the silence after it (blocking)."""
    samples = engine.speak(chunk, alone=alone)
    pause = round(chunk.pause_s * engine.sample_rate)
    return np.concatenate([samples, np.zeros(pause, np.int16)]) if pause else samples


def spoken(engine: Speaker, utterance: Utterance) -> Iterator[Audio]:
    """Yield the speech of a text chunk by chunk, without a scheduler (blocking)."""
    for chunk in engine.plan(utterance):
        yield speak(engine, chunk)
