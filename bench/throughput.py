"""Seconds of audio a second: the service behind its proxy beside the engine in a loop, on the same cores."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from statistics import median

from rich.table import Table

from bench import direct
from bench.asking import Client
from build.console import out
from service.hardware.cpu import available
from tests.support.stack import Stack

SENTENCE = "This is sentence number {} of those that are spoken, one after the other."
# Each with how many make some fifteen seconds on two cores.
KINDS = {
    "a word or two": ("Number {}.", 240),
    "a sentence": (SENTENCE, 96),
    "eight sentences": (" ".join([SENTENCE] * 8), 12),
}
LANES = 2  # clients for each core: one waits while another is spoken to


def measure(stack: Stack, runs: int) -> None:
    """Prints medians of `runs` that take turns, and their ratio, for texts of three lengths."""
    stack.run("build.cutover", "switch", stack.release("bench: throughput"))
    cores = available()
    table = Table("text", "service", "engine in a loop", "ratio", "lowest, highest", box=None, pad_edge=False)
    for kind, (text, clips) in KINDS.items():
        texts = [text.format(*[number] * text.count("{}")) for number in range(clips)]
        _served(stack.url, texts[: LANES * cores], cores)
        pairs = [(_served(stack.url, texts, cores), direct.rate(stack, "alone", texts).audio_s) for _ in range(runs)]
        ours, theirs = (median(column) for column in zip(*pairs, strict=True))
        ratios = [one / other for one, other in pairs]
        spread = f"{min(ratios):.2f}, {max(ratios):.2f}"
        table.add_row(f"{kind} ({clips})", f"{ours:.2f}", f"{theirs:.2f}", f"{median(ratios):.3f}", spread)
    out.print(f"seconds of audio a second, {cores} at a time (medians of {runs} pairs):")
    out.print(table)


def _served(url: str, texts: list[str], cores: int) -> float:
    """Seconds of audio a second, from the first question to the last answer."""

    left = iter(texts)  # whoever is done takes the next, as in the loop beside it

    def lane(_: int) -> float:
        with closing(Client(url)) as client:
            return sum(client.say(text).sound_s for text in left)

    with ThreadPoolExecutor(LANES * cores) as pool:
        began = time.monotonic()
        return sum(pool.map(lane, range(LANES * cores))) / (time.monotonic() - began)
