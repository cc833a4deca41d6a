"""`python -m bench [NAME...]`.

By default all but four run: full takes minutes, chaos injects faults, cold and twice build images.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench import (
    batch,
    chaos,
    cold,
    first_audio,
    full_queue,
    gate,
    hold,
    latency,
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

app = console.app("Measure on this machine what the README quotes.")
QUICK = ("gate", "rebuild", "switch", "rollback", "soak", "hold", "throughput", "latency", "first", "batch")
NAMES = (*QUICK, "full", "chaos", "cold", "twice")
DEFAULT_RUNS = {"hold": 1, "full": 1, "cold": 1, "twice": 1}


@app.command()
def main(  # noqa: PLR0913, PLR0917 - a command line
    names: Annotated[list[str] | None, typer.Argument(help=f"which of {', '.join(NAMES)}")] = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, max=200, help="runs of each; the median is printed (5; of hold, full, cold and twice 1)"),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            min=0.1, help="short requests a second for switch, soak and hold; at most half of what is carried"
        ),
    ] = 10.0,
    rollout: Annotated[
        Path | None, typer.Option(help="the script of docker-rollout, which switch is then beside", exists=True)
    ] = None,
    flavour: Annotated[
        Flavour, typer.Option(help="what cold and twice build; cuda needs 24 GB of disk")
    ] = Flavour.SLIM,
    only: Annotated[
        list[str] | None, typer.Option(metavar="WORDS", help="of chaos, combinations with these words in their names")
    ] = None,
    every: Annotated[
        bool, typer.Option("--every", help="of chaos, each fault at each record it can strike at")
    ] = False,
    minutes: Annotated[float, typer.Option(min=0.5, help="how long full keeps the queue full")] = 10.0,
    missing: Annotated[bool, typer.Option("--missing", help="of chaos, what its results do not have yet")] = False,
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
        "chaos": partial(chaos.measure, only=only or (), every=every, missing=missing),
        "cold": partial(cold.measure, flavour=flavour.value),
        "twice": partial(reproducibility.measure, flavour=flavour.value),
    }
    chosen = names or QUICK
    for name in chosen:
        if name not in benches:
            raise typer.BadParameter(f"{name} is none of {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory() as scratch, fresh_stack(Path(scratch)) as stack:
        for name in chosen:
            benches[name](stack, runs or DEFAULT_RUNS.get(name, 5))


if __name__ == "__main__":
    console.main(app)
