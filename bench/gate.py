"""The gate: its rate of false alarms and its detection of faults, with the real engine in this process."""

from __future__ import annotations

from statistics import median

from rich.table import Table

from build.console import out
from build.errors import GateRefusedError
from build.gate import gate
from build.settings import Settings
from build.target.types import Clock
from harness.faulty_voices import FAULTS, Mouth
from harness.recorded_progress import RecordedProgress
from harness.stack import REPOSITORY, Stack
from service.engines.piper import PiperEngine

FEWER = 25  # runs of the good engine per run of a fault


def measure(_stack: Stack, runs: int) -> None:
    """Print the false alarms of `runs` gates of the good engine against itself, and the detections of each fault."""
    engine = PiperEngine()
    engine.load(lambda _: None)
    table = Table("release", "gates", "rejected", "message names the fault", "median time", box=None, pad_edge=False)
    alarms = _gates(Mouth(engine), Mouth(engine), runs)
    table.add_row("the good engine", *_cells(alarms, ""))
    for line in (refusal for refusal, _ in alarms if refusal):
        out.print(f"false alarm: {line}", markup=False)
    for name, (mouth, expected) in FAULTS.items():
        table.add_row(name, *_cells(_gates(mouth(engine), Mouth(engine), max(1, runs // FEWER)), expected))
    out.print(table)


def _gates(candidate: Mouth, live: Mouth, runs: int) -> list[tuple[str, float]]:
    """Return for each gate why it rejected the candidate ("" if it passed), and its seconds."""
    settings, clock, done = Settings(root=REPOSITORY), Clock(), []
    for _ in range(runs):
        began, refusal = clock.now(), ""
        try:
            gate.run(candidate, live, settings, clock, RecordedProgress(), None)
        except GateRefusedError as error:
            refusal = error.message
        done.append((refusal, clock.now() - began))
    return done


def _cells(done: list[tuple[str, float]], expected: str) -> list[str]:
    refusals = [refusal for refusal, _ in done if refusal]
    named = sum(expected in refusal for refusal in refusals) if expected else 0
    times = median(seconds for _, seconds in done)
    return [str(len(done)), str(len(refusals)), f"{named} ({expected})" if expected else "-", f"{times:.1f} s"]
