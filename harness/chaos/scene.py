"""The scene of a fault: a cutover that pauses at a record of its journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from build.model.colours import Colour
from build.model.states import Strategy
from harness.chaos.chaos_stack import ChaosStack
from harness.chaos.fault_points import command
from harness.chaos.stepped import Point, Stepped


@dataclass
class Scene:
    """A cutover that pauses at a record.

    Attributes:
        live: the colour that was live before.
        release: the candidate's.
        process: the orchestrator.
        seen: the target as the fault left it, for a later comparison.
        outage_s: how long the engine was down.
    """

    chaos: ChaosStack
    strategy: Strategy
    point: Point
    live: Colour
    release: str
    process: Stepped
    seen: dict[str, Any] = field(default_factory=dict)
    outage_s: float = 0.0

    @property
    def candidate(self) -> Any:
        return self.chaos.container(self.live.other)

    @property
    def switch(self) -> list[str]:
        """The command of the cutover."""
        return command(self.chaos.references[self.release], self.strategy, self.point)
