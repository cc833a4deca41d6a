"""The engine without a service: `python -c SOURCE alone|processes|each`, told as JSON on standard input what to say.

It is run in a release's own container, so that neither way has other libraries or processors than the service.
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

from service.engine import Utterance
from service.engines.piper import PiperEngine
from service.hardware.cpu import available

# What a script of one's own does for each line: start, load the model, say it, write a file.
ONE_CLIP = """\
import sys, wave
from service.engine import Utterance
from service.engines.piper import PiperEngine
engine = PiperEngine(1)
engine.load(lambda _: None)
with wave.open(sys.argv[1], "wb") as file:
    file.setparams((1, 2, engine.sample_rate, 0, "NONE", ""))
    for piece in engine.synthesize(Utterance(sys.argv[2], "joe")):
        file.writeframes(piece.samples.tobytes())
"""
FILE = "/tmp/bench-clip.wav"  # noqa: S108 - a container's own


def alone() -> Callable[[int, str], float]:
    """Says a clip in this process, writes nothing, and returns the seconds that it sounds."""
    engine = PiperEngine()
    engine.load(lambda _: None)

    def say(_: int, text: str) -> float:
        return sum(piece.samples.size for piece in engine.synthesize(Utterance(text, "joe"))) / engine.sample_rate

    return say


def processes() -> Callable[[int, str], float]:
    """Says a clip in a process of its own."""

    def say(number: int, text: str) -> float:
        path = f"{FILE}.{number}"
        subprocess.run([sys.executable, "-c", ONE_CLIP, path, text], check=True)
        with wave.open(path, "rb") as file:
            seconds = file.getnframes() / file.getframerate()
        os.unlink(path)  # noqa: PTH108
        return seconds

    return say


def rates(way: Callable[[], Callable[[int, str], float]], texts: list[str]) -> None:
    """Prints clips a second and seconds of audio a second, as many at a time as there are cores.

    The first clips do not count.
    """
    cores = available()
    say = way()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(say, range(2 * cores), texts))
        began = time.monotonic()
        sound_s = sum(pool.map(say, range(len(texts)), texts))
        took_s = time.monotonic() - began
    sys.stdout.write(json.dumps([len(texts) / took_s, sound_s / took_s]))


def each() -> None:
    """Prints a line when the model is loaded, then for each further line of input how many seconds it took to say."""
    say = alone()
    sys.stdout.write("loaded\n")
    sys.stdout.flush()
    for line in sys.stdin:
        began = time.monotonic()
        say(0, json.loads(line))
        sys.stdout.write(f"{time.monotonic() - began}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "each":
        each()
    else:
        rates({"alone": alone, "processes": processes}[sys.argv[1]], json.load(sys.stdin))
