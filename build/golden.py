"""`python -m build.golden`: calibrate the golden set, the sentences and bounds of the gate."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from build import console
from build.console import Reporter, err, out
from build.cutover import gpu_room
from build.errors import PreflightError
from build.gate import golden_files, standalone_gate
from build.images.resolve import resolve
from build.target.target import ComposeTarget

SHOWN = 110
app = console.app("Calibrate the golden set: the sentences and bounds of the gate.")


@app.callback()
def main() -> None:
    """Calibrate the golden set: the sentences and bounds of the gate."""


@app.command()
def calibrate(
    ref: Annotated[
        str | None, typer.Argument(help="release to record in a temporary container; default: the live release")
    ] = None,
    runs: Annotated[int, typer.Option(min=3, max=100, help="recordings of each text")] = 10,
) -> None:
    """Record every text several times, write the bounds, and print the changes for review."""
    settings, progress = console.settings(), Reporter()
    target = ComposeTarget(settings)
    if ref:
        wanted = resolve(settings, target.engine, progress, ref)
        with standalone_gate.running(target, progress, wanted, gpu_room.alone) as container:
            before, after = golden_files.calibrate(settings, wanted.sha, container, runs, progress)
    else:
        live = standalone_gate.live_service(target)
        release = live.release() if live else None
        if live is None or release is None:
            raise PreflightError(
                "no release is live",
                remedy="name a release: `python -m build.golden calibrate REF`; or start one: `make up`",
            )
        before, after = golden_files.calibrate(settings, release.sha, live, runs, progress)
    for line in difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=1):
        out.print(line if len(line) <= SHOWN else f"{line[:SHOWN]}...", markup=False)
    err.print(f"wrote {golden_files.paths(settings)[1]}, no other file; review and commit it")


if __name__ == "__main__":
    console.main(app)
