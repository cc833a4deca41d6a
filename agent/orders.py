"""Orders to a slot's service, as a file that it polls: the agent has no other way into a container.

An order carries the epoch of the lock. The service obeys a new order once and from then on refuses control commands of
older epochs; a KEEP does only the latter.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

from agent import files
from agent.protocol import Refusal, RefusedError
from agent.start_flags import is_slot

FILE = "command"


class Do(StrEnum):
    """What a service does with its model."""

    LOAD = "load"
    UNLOAD = "unload"
    KEEP = "keep"


class Orders:
    """The orders of all slots, in the folders of their start flags."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def give(self, slot: str, epoch: int, do: str) -> None:
        """Replace a slot's order; raise RefusedError for a name that is no slot's or no order's."""
        if not is_slot(slot) or do not in set(Do):
            raise RefusedError(Refusal.INVALID, f"no slot or no order: {slot!r}, {do!r}")
        folder = self._folder / slot
        folder.mkdir(exist_ok=True)
        files.replace(folder / FILE, json.dumps({"epoch": epoch, "do": do}) + "\n")
