"""Seconds of audio per second: the service behind its proxy against the engine in a loop, on the same cores."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from statistics import median

from rich.table import Table

from bench import direct_service
from bench.http_client import Client
from build.console import out
from harness.stack import Stack
from service.hardware.cpu import available

SENTENCE = "This is sentence number {} of those that are spoken, one after the other."
# Each with a number of clips that takes about fifteen seconds on two cores.
KINDS = {
    "a word or two": ("Number {}.", 240),
    "a sentence": (SENTENCE, 96),
    "eight sentences": (" ".join([SENTENCE] * 8), 12),
}
LANES = 2  # clients per core: one waits while the other is served


def measure(stack: Stack, runs: int) -> None:
    """Print the medians of interleaved `runs` and their ratio, for texts of three lengths."""
    stack.run("build.cutover", "switch", stack.release("bench: throughput"))
    cores = available()
    table = Table("text", "service", "engine in a loop", "ratio", "lowest, highest", box=None, pad_edge=False)
    for kind, (text, clips) in KINDS.items():
        texts = [text.format(*[number] * text.count("{}")) for number in range(clips)]
        _served(stack.url, texts[: LANES * cores], cores)
        pairs = [
            (_served(stack.url, texts, cores), direct_service.rate(stack, "alone", texts).audio_s) for _ in range(runs)
        ]
        ours, theirs = (median(column) for column in zip(*pairs, strict=True))
        ratios = [service / engine for service, engine in pairs]
        spread = f"{min(ratios):.2f}, {max(ratios):.2f}"
        table.add_row(f"{kind} ({clips})", f"{ours:.2f}", f"{theirs:.2f}", f"{median(ratios):.3f}", spread)
    out.print(f"seconds of audio a second, {cores} at a time (medians of {runs} pairs):")
    out.print(table)


def _served(url: str, texts: list[str], cores: int) -> float:
    """Return seconds of audio per second, from the first request to the last response."""

    remaining = iter(texts)  # a free client takes the next text, as in the loop of the comparison

    def lane(_: int) -> float:
        with closing(Client(url)) as client:
            return sum(client.synthesize(text).sound_s for text in remaining)

    with ThreadPoolExecutor(LANES * cores) as pool:
        began = time.monotonic()
        return sum(pool.map(lane, range(LANES * cores))) / (time.monotonic() - began)
