"""Resident memory of engine piper from before the load until after the unload."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.voices import add

# In a separate process, without the memory of other tests. Threads and text lengths make memory grow.
STAGES = """
import json, random, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from service.engine import Utterance, spoken
from service.engines.piper import PiperEngine

seen = {}

def look(stage):
    seen[stage] = int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024

def say(voice, words):
    text = " ".join(["quick", "a", "brown", "however"][n % 4] for n in range(words))
    for _ in spoken(engine, Utterance(text, voice)):
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


# Measured with two threads on two processors; in parentheses the value without the code under test.
def test_memory_for_most_sentences_is_allocated_at_load(resident: dict[str, float]) -> None:
    assert resident["usual"] - resident["loaded"] < 25  # 6 (55)


def test_memory_does_not_grow_with_the_number_of_text_lengths(resident: dict[str, float]) -> None:
    assert resident["long"] - resident["loaded"] < 250  # 100 (380 to 430, with a memory plan for each length)


def test_voices_share_one_memory_arena(resident: dict[str, float]) -> None:
    assert resident["voices"] - resident["long"] < 200  # up to 50 (500)


def test_unload_releases_memory(resident: dict[str, float]) -> None:
    assert resident["unloaded"] - resident["before"] < 120  # 34 (340)
