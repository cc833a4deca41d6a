"""The engine without a service: `python -c SOURCE alone|processes|single`, with the texts as JSON on standard input.

It runs in a release's own container, so that it has the same libraries and processors as the service.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from service.engine import Utterance, spoken
from service.engines.piper import PiperEngine
from service.hardware.cpu import available

# A typical script runs this for each line: start, load the model, synthesize, write a file.
ONE_CLIP = """\
import sys, wave
from service.engine import Utterance, spoken
from service.engines.piper import PiperEngine
engine = PiperEngine(1)
engine.load(lambda _: None)
with wave.open(sys.argv[1], "wb") as file:
    file.setparams((1, 2, engine.sample_rate, 0, "NONE", ""))
    for samples in spoken(engine, Utterance(sys.argv[2], "joe")):
        file.writeframes(samples.tobytes())
"""
FILE = "/tmp/bench-clip.wav"  # noqa: S108 - in a separate container


def alone() -> Callable[[int, str], float]:
    """Return a function that synthesizes a clip in this process and returns its duration (s); it writes no file."""
    engine = PiperEngine()
    engine.load(lambda _: None)

    def synthesize(_: int, text: str) -> float:
        return sum(samples.size for samples in spoken(engine, Utterance(text, "joe"))) / engine.sample_rate

    return synthesize


def processes() -> Callable[[int, str], float]:
    """Return a function that synthesizes a clip in a separate process."""

    def synthesize(number: int, text: str) -> float:
        path = f"{FILE}.{number}"
        subprocess.run([sys.executable, "-c", ONE_CLIP, path, text], check=True)
        with wave.open(path, "rb") as file:
            seconds = file.getnframes() / file.getframerate()
        os.unlink(path)  # noqa: PTH108
        return seconds

    return synthesize


def rates(mode: Callable[[], Callable[[int, str], float]], texts: list[str]) -> None:
    """Print clips per second and seconds of audio per second, with one clip at a time per core.

    The first clips do not count.
    """
    cores = available()
    synthesize = mode()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(synthesize, range(2 * cores), texts))
        began = time.monotonic()
        sound_s = sum(pool.map(synthesize, range(len(texts)), texts))
        took_s = time.monotonic() - began
    sys.stdout.write(json.dumps([len(texts) / took_s, sound_s / took_s]))


def single() -> None:
    """Print a line once the model is loaded, then for each input line the seconds that its synthesis took."""
    synthesize = alone()
    sys.stdout.write("loaded\n")
    sys.stdout.flush()
    for line in sys.stdin:
        began = time.monotonic()
        synthesize(0, json.loads(line))
        sys.stdout.write(f"{time.monotonic() - began}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "single":
        single()
    else:
        rates({"alone": alone, "processes": processes}[sys.argv[1]], json.load(sys.stdin))
