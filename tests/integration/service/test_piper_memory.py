"""What an engine's memory does, from before it is loaded until it is unloaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.voices import add

# In a process of its own, whose memory nothing else has grown. Threads and lengths are what lets it grow.
STAGES = """
import json, random, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from service.engine import Utterance
from service.engines.piper import PiperEngine

seen = {}

def look(stage):
    seen[stage] = int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024

def say(voice, words):
    text = " ".join(["quick", "a", "brown", "however"][n % 4] for n in range(words))
    for _ in engine.synthesize(Utterance(text, voice)):
        pass

def say_many(count, voice, most):
    lengths = random.Random(1)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(say, [voice] * count, [lengths.randint(1, most) for _ in range(count)]))

engine = PiperEngine(2, Path(sys.argv[1]))
engine.prepare()
look("before")
engine.load(lambda _: None)
look("loaded")
say_many(30, "joe", 10)
look("usual")
say_many(100, "joe", 30)
look("long")
for voice in ("one", "two"):
    say_many(15, voice, 30)
look("voices")
engine.unload()
look("unloaded")
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Memory in MiB after each stage of an engine's life."""
    folder = tmp_path_factory.mktemp("voices")
    for name in ("one", "two"):
        add(folder, name)
    done = subprocess.run([sys.executable, "-c", STAGES, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stages: dict[str, float] = json.loads(done.stdout)
    return stages


# Of two on a machine with two processors; in brackets what it was without the line that the test is about.
def test_memory_for_most_sentences_is_allocated_at_load(resident: dict[str, float]) -> None:
    assert resident["usual"] - resident["loaded"] < 25  # 6 (55)


def test_memory_does_not_grow_with_the_number_of_text_lengths(resident: dict[str, float]) -> None:
    assert resident["long"] - resident["loaded"] < 250  # 100 (380 to 430, with a plan of memory for each)


def test_voices_share_one_memory_arena(resident: dict[str, float]) -> None:
    assert resident["voices"] - resident["long"] < 200  # up to 50 (500)


def test_unload_releases_memory(resident: dict[str, float]) -> None:
    assert resident["unloaded"] - resident["before"] < 120  # 34 (340)
