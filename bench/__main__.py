"""`python -m bench [NAME...]`.

By default the quick ones run: full, idle, overload and peers take minutes, chaos injects faults, cold and twice build
images, attribution needs a corpus.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench import (
    attribution,
    batch,
    chaos,
    cold,
    first_audio,
    full_queue,
    gate,
    hold,
    idle,
    latency,
    overload,
    peers,
    rebuild,
    reproducibility,
    rollback,
    soak,
    switch,
    throughput,
)
from build import console
from build.model.labels import Flavour
from harness.stack import Stack, fresh_stack

app = console.app("Measure the figures of docs/benchmarks.md on this machine.")
QUICK = ("gate", "rebuild", "switch", "rollback", "soak", "hold", "throughput", "latency", "first", "batch")
ALONE: dict[str, Callable[[int], None]] = {"overload": overload.measure, "peers": peers.measure}
"""Benchmarks of the service without a stack."""
NAMES = (*QUICK, "full", "idle", "chaos", "cold", "twice", "attribution", *ALONE)
DEFAULT_RUNS = {"hold": 1, "full": 1, "idle": 1, "cold": 1, "twice": 1, "overload": 1}


@app.command()
def main(  # noqa: PLR0913, PLR0917 - a command line
    names: Annotated[list[str] | None, typer.Argument(help=f"benchmarks to run, of {', '.join(NAMES)}")] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=200,
            help="runs per benchmark; it prints medians (5; hold, full, idle, cold, twice and overload: 1)",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(min=0.1, help="short requests per second of switch, soak and hold; at most half the capacity"),
    ] = 10.0,
    rollout: Annotated[
        Path | None, typer.Option(help="script of docker-rollout, for a comparison in switch", exists=True)
    ] = None,
    flavour: Annotated[
        Flavour, typer.Option(help="flavour of cold and twice; cuda needs 24 GB of disk")
    ] = Flavour.SLIM,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="WORDS", help="chaos: only combinations whose name contains one of these words"),
    ] = None,
    every: Annotated[bool, typer.Option("--every", help="chaos: each fault at each possible record")] = False,
    minutes: Annotated[float, typer.Option(min=0.5, help="full: minutes with a full queue")] = 10.0,
    seconds: Annotated[float, typer.Option(min=10, help="idle: seconds of one measurement")] = 60.0,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="attribution: folder of a corpus of attributed quotations, PDNC or WP", exists=True),
    ] = None,
    missing: Annotated[bool, typer.Option("--missing", help="chaos: only combinations without results")] = False,
) -> None:
    """Run benchmarks on a separate stack, next to a live one."""
    benches: dict[str, Callable[[Stack, int], None]] = {
        "gate": gate.measure,
        "rebuild": rebuild.measure,
        "switch": partial(switch.measure, most_per_s=rate, script=rollout),
        "rollback": rollback.measure,
        "soak": partial(soak.measure, most_per_s=rate),
        "hold": partial(hold.measure, most_per_s=rate),
        "throughput": throughput.measure,
        "latency": latency.measure,
        "first": first_audio.measure,
        "batch": batch.measure,
        "full": partial(full_queue.measure, minutes=minutes),
        "idle": partial(idle.measure, seconds=seconds),
        "chaos": partial(chaos.measure, only=only or (), every=every, missing=missing),
        "cold": partial(cold.measure, flavour=flavour.value),
        "twice": partial(reproducibility.measure, flavour=flavour.value),
    }
    chosen = names or QUICK
    for name in chosen:
        if name not in NAMES:
            raise typer.BadParameter(f"unknown benchmark {name}, choose from {', '.join(NAMES)}")
    if "attribution" in chosen:
        if not corpus:
            raise typer.BadParameter("attribution needs --corpus, the folder of a corpus: docs/benchmarks.md names two")
        for folder in corpus:
            attribution.measure(folder)
    for name in chosen:
        if name in ALONE:
            ALONE[name](runs or DEFAULT_RUNS.get(name, 5))
    if stacked := [name for name in chosen if name in benches]:
        with tempfile.TemporaryDirectory() as scratch, fresh_stack(Path(scratch)) as stack:
            for name in stacked:
                benches[name](stack, runs or DEFAULT_RUNS.get(name, 5))


if __name__ == "__main__":
    console.main(app)
