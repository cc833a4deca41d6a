"""Releases in this process: the real engine, and its output with every kind of fault."""

from __future__ import annotations

import ctypes
import dataclasses
import io
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from build.target.container import ServiceStatus
from build.target.synthesis import SynthesisResponse
from service.engine import Audio, Chunk, Speaker, Utterance, spoken

Sound = npt.NDArray[np.float32]
RATE = 22050
LOUDER, HOLE_S, REMAINDER, DEEPER, LARGER, SMALLER = 8.0, 0.4, 0.75, 0.85, 1 / 1.08, 1.04
SEED = 7


def wav(samples: npt.NDArray[np.floating], rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


@dataclass
class Mouth:
    """The engine as a release; `spoils` changes its audio, `words` its text.

    Attributes:
        speed: speed of the speech.
        rate: declared sample rate in Hz.
        work: number of times that it synthesizes each text.
        every: spoil only every n-th synthesis.
        now: clock of its times; a thread's CPU clock excludes other load of the machine.
    """

    engine: Speaker
    spoils: Callable[[Sound], Sound] = lambda sound: sound
    words: Callable[[str], str] = lambda text: text
    speed: float = 1.0
    rate: int = RATE
    work: int = 1
    every: int = 1
    now: Callable[[], float] = time.monotonic
    spoken: list[str] = field(default_factory=list)

    def status(self) -> ServiceStatus:
        return ServiceStatus(phase="ready", sample_rate=self.rate)

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:  # noqa: ARG002 - as the driver's
        self.spoken.append(text)
        began, first = self.now(), 0.0
        for _ in range(self.work):
            pieces: list[Audio] = []
            for samples in spoken(self.engine, Utterance(self.words(text), voice, self.speed)):
                pieces.append(samples)
                first = first or self.now() - began
        took = self.now() - began
        sound = np.concatenate(pieces).astype(np.float32) / np.float32(32768)
        if len(self.spoken) % self.every == 0:
            sound = self.spoils(sound)
        return SynthesisResponse(wav(sound, self.rate), first * self.work, took)


class Recorded:
    """The engine with recordings: it synthesizes each text once."""

    def __init__(self, engine: Speaker) -> None:
        self._engine = engine
        self._takes: dict[Utterance, list[Chunk]] = {}

    @property
    def sample_rate(self) -> int:
        return self._engine.sample_rate

    def plan(self, utterance: Utterance) -> Sequence[Chunk]:
        """Return the pieces of the first synthesis."""
        if utterance not in self._takes:
            # Without a seed, one take in many has dropouts that DNSMOS hardly detects.
            pieces = spoken(self._engine, dataclasses.replace(utterance, seed=SEED))
            self._takes[utterance] = [Chunk(samples, samples.size) for samples in pieces]
        return self._takes[utterance]

    def speak(self, chunk: Chunk, *, alone: bool = False) -> Audio:  # noqa: ARG002 - as the engine's
        samples: Audio = chunk.payload
        return samples


def noise(sound: Sound) -> Sound:
    return np.asarray(0.1 * np.random.default_rng(1).normal(size=len(sound)), np.float32)


def cut(sound: Sound) -> Sound:
    return sound[: int(REMAINDER * len(sound))]


def hole(sound: Sound) -> Sound:
    """Replace 0.4 s of speech by silence."""
    start, holed = len(sound) // 2, sound.copy()
    holed[start : start + int(HOLE_S * RATE)] = 0
    return holed


def pause(sound: Sound) -> Sound:
    """Insert 0.4 s of silence, without a loss of speech."""
    half = len(sound) // 2
    return np.concatenate([sound[:half], np.zeros(int(HOLE_S * RATE), np.float32), sound[half:]])


def clipped(sound: Sound) -> Sound:
    return np.asarray(np.clip(LOUDER * sound, -1, 1), np.float32)


def dropouts(sound: Sound) -> Sound:
    """Silence ten milliseconds in a hundred."""
    holed = sound.copy()
    for start in range(0, len(sound), RATE // 10):
        holed[start : start + RATE // 100] = 0
    return holed


def sized(engine: Speaker, factor: float) -> Mouth:
    """Speak with the pitch and vocal tract of a larger (below 1) or smaller person: by resampled speech."""

    def played(sound: Sound) -> Sound:
        count = int(len(sound) / factor)
        return np.asarray(np.interp(np.arange(count) * factor, np.arange(len(sound)), sound), np.float32)

    return Mouth(engine, played, speed=1 / factor)


@cache
def _espeak() -> ctypes.CDLL:
    import piper  # noqa: PLC0415 - only a second voice needs it

    folder = Path(piper.__file__).parent
    library = ctypes.CDLL(str(folder / "espeakbridge.so"))
    synchronous = 2
    assert library.espeak_Initialize(synchronous, 200, str(folder).encode(), 0) == RATE
    return library


def espeak(text: str) -> Sound:
    """Speak with another real voice: espeak-ng's, from the library that piper uses for phonemes."""
    library, pieces = _espeak(), []
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

    def take(samples: ctypes._Pointer[ctypes.c_short], count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    callback = kind(take)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(b"en-us")
    encoded = text.encode()
    assert library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, 1, None, None) == 0
    return np.concatenate(pieces).astype(np.float32) / np.float32(32768)


@dataclass
class Stranger(Mouth):
    """A release with espeak-ng's voice."""

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        spoken = super().speak(text, voice, timeout_s)
        return SynthesisResponse(wav(espeak(text)), spoken.first_s, spoken.took_s)


# Wrong sentences with the lengths of those of the golden set.
OTHERS = {
    49: "My neighbour paints old wooden boats every summer.",
    59: "Bring a warm coat. Tomorrow it will snow on all the hills.",
    30: "The kitchen smells of onions.",
    65: "No one has yet counted how many rivers cross this large country.",
    70: "After a long and quiet winter our garden was suddenly full of bees.",
    52: "Forty-one small boys climb up the tower each Sunday.",
}


def another(text: str) -> str:
    return OTHERS[min(OTHERS, key=lambda length: abs(length - len(text)))]


# Faults that only the whole golden set shows.
OVER_ALL = {"dropouts of 10 ms", "a speaker 4 % smaller"}
# Faults, and a word that the gate's message must contain.
FAULTS: dict[str, tuple[Callable[[Speaker], Mouth], str]] = {
    "silence": (lambda engine: Mouth(engine, np.zeros_like), "silent"),
    "white noise": (lambda engine: Mouth(engine, noise), "noise"),
    "cut to 75 %": (lambda engine: Mouth(engine, cut), "length differs"),
    "a hole of 0.4 s": (lambda engine: Mouth(engine, hole), "longest pause exceeds"),
    "a pause of 0.4 s": (lambda engine: Mouth(engine, pause), "longest pause exceeds"),
    "half speed": (lambda engine: Mouth(engine, speed=0.5), "length differs"),
    "clipped": (lambda engine: Mouth(engine, clipped), "clipped"),
    "22.05 kHz declared as 16": (lambda engine: Mouth(engine, rate=16000), "pitch differs"),
    "a deeper voice": (lambda engine: sized(engine, DEEPER), "speaker differs"),
    "a speaker 8 % larger": (lambda engine: sized(engine, LARGER), "speaker differs"),
    "a speaker 4 % smaller": (lambda engine: sized(engine, SMALLER), "speaker differs"),
    "espeak-ng's voice": (Stranger, "speaker differs"),
    "reversed": (lambda engine: Mouth(engine, lambda sound: sound[::-1]), "words differ"),
    "another sentence": (lambda engine: Mouth(engine, words=another), "words differ"),
    "dropouts of 10 ms": (lambda engine: Mouth(engine, dropouts), "poor"),
    "3x slower": (lambda engine: Mouth(engine, work=3), "slow"),
    "every second one silent": (lambda engine: Mouth(engine, np.zeros_like, every=2), "silent"),
}
