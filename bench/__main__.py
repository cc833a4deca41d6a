"""`python -m bench [NAME...]`: gate, rebuild and switch when nothing is named; cold and twice build environments."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench import cold, gate, rebuild, switch, twice
from build import console
from build.images import Flavour
from tests.support.stack import Stack, fresh_stack

app = console.app("Measure on this machine what the README quotes.")
NAMES = ("gate", "rebuild", "switch", "cold", "twice")
QUICK = NAMES[:3]
DEFAULT_RUNS = {"cold": 1, "twice": 1}


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"which of {', '.join(NAMES)}")] = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, max=200, help="runs of each; the median is printed (5; of cold and twice 1)"),
    ] = None,
    flavour: Annotated[
        Flavour, typer.Option(help="what cold and twice build; cuda needs 24 GB of disk")
    ] = Flavour.SLIM,
) -> None:
    """Measure on a stack of the benchmark's own, beside whatever is live."""
    benches: dict[str, Callable[[Stack, int], None]] = {
        "gate": gate.measure,
        "rebuild": rebuild.measure,
        "switch": switch.measure,
        "cold": partial(cold.measure, flavour=flavour.value),
        "twice": partial(twice.measure, flavour=flavour.value),
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
