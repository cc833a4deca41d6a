"""`python -m bench [gate|rebuild|switch]`: everything when nothing is named."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bench import gate, rebuild, switch
from build import console
from tests.support.stack import fresh_stack

app = console.app("Measure on this machine what the README quotes.")
BENCHES = {"gate": gate.measure, "rebuild": rebuild.measure, "switch": switch.measure}


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"which of {', '.join(BENCHES)}")] = None,
    runs: Annotated[int, typer.Option(min=1, max=200, help="runs of each; the median is printed")] = 5,
) -> None:
    """Measure on a stack of the benchmark's own, beside whatever is live."""
    chosen = names or list(BENCHES)
    for name in chosen:
        if name not in BENCHES:
            raise typer.BadParameter(f"{name} is none of {', '.join(BENCHES)}")
    with tempfile.TemporaryDirectory() as scratch, fresh_stack(Path(scratch)) as stack:
        for name in chosen:
            BENCHES[name](stack, runs)


if __name__ == "__main__":
    console.main(app)
