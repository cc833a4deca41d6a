"""Latency that the service and its proxy add to a sentence of a second, against the engine alone on the same cores.

The embedded voice needs a different time for the same text each time, so many interleaved pairs are needed. The service
also reports its engine's time for each response; the time beyond that has none of this noise.
"""

from __future__ import annotations

from contextlib import closing
from statistics import median, quantiles

from bench import direct_service
from bench.http_client import Client
from build.console import out
from harness.stack import Stack

TEXT = "Good morning to you."
ROUNDS = 40
FIRST = 5  # rounds that do not count


def measure(stack: Stack, runs: int) -> None:
    """Print medians over `runs` times 40 rounds, in milliseconds: of each path, and of the time added in each round."""
    stack.run("build.cutover", "switch", stack.release("bench: latency"))
    through, past = Client(stack.url), Client(direct_service.url(stack))
    with direct_service.engine(stack) as engine, closing(through), closing(past):
        rounds = [_round(engine, past, through) for _ in range(FIRST + runs * ROUNDS)][FIRST:]
    alone, served, proxied, own, sound = ([measured[column] for measured in rounds] for column in range(5))
    added = [with_proxy - engine_only for with_proxy, engine_only in zip(proxied, alone, strict=True)]
    out.print(
        f"a sentence of {median(sound) / 1e3:.2f} s, {len(rounds)} rounds, medians: the engine alone "
        f"{median(alone):.1f} ms, the service without its proxy {median(served):.1f} ms, with it {median(proxied):.1f} "
        f"ms; added in a round {median(added):.1f} ms"
    )
    out.print(
        f"beyond the engine's time for the same response: {median(own):.1f} ms, p95 {quantiles(own, n=20)[-1]:.1f} "
        f"ms, p99 {quantiles(own, n=100)[-1]:.1f} ms"
    )


def _round(engine: direct_service.Engine, past: Client, through: Client) -> list[float]:
    """Return milliseconds: engine, service, service with proxy, the latter beyond its engine's time, audio."""
    alone, served, proxied = engine.seconds(TEXT), past.synthesize(TEXT), through.synthesize(TEXT)
    measured = (alone, served.took_s, proxied.took_s, proxied.took_s - proxied.worked_s, proxied.sound_s)
    return [seconds * 1e3 for seconds in measured]
