"""The engine without a service: `python -c SOURCE alone|processes TEXT CLIPS` prints clips a second.

It is run in a release's own container, so that neither way has other libraries or processors than the service.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from service.engines.base import Utterance
from service.engines.piper import PiperEngine

# What a script of one's own does for each line: start, load the model, say it, write a file.
ONE_CLIP = """\
import sys, wave
from service.engines.base import Utterance
from service.engines.piper import PiperEngine
engine = PiperEngine(1)
engine.load(lambda _: None)
with wave.open(sys.argv[1], "wb") as file:
    file.setparams((1, 2, engine.sample_rate, 0, "NONE", ""))
    for piece in engine.synthesize(Utterance(sys.argv[2], "joe")):
        file.writeframes(piece.samples.tobytes())
"""
FILE = "/tmp/bench-clip.wav"  # noqa: S108 - a container's own


def alone(text: str) -> Callable[[int], None]:
    """Says a clip in this process, and writes nothing."""
    engine = PiperEngine(len(os.sched_getaffinity(0)))
    engine.load(lambda _: None)

    def say(number: int) -> None:
        for _ in engine.synthesize(Utterance(text.format(number), "joe")):
            pass

    return say


def processes(text: str) -> Callable[[int], None]:
    """Says a clip in a process of its own."""

    def say(number: int) -> None:
        subprocess.run([sys.executable, "-c", ONE_CLIP, f"{FILE}.{number}", text.format(number)], check=True)
        os.unlink(f"{FILE}.{number}")  # noqa: PTH108

    return say


def main(way: str, text: str, clips: int) -> None:
    """Prints how many clips a second come about, as many at a time as there are cores; the first ones do not count."""
    cores = len(os.sched_getaffinity(0))
    say = {"alone": alone, "processes": processes}[way](text)
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(say, range(2 * cores)))
        began = time.monotonic()
        list(pool.map(say, range(clips)))
        sys.stdout.write(f"{clips / (time.monotonic() - began)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
