"""Flags for the next start of a slot's container, as files in a volume that the colours read.

`park`: start without a model and wait for a command. `device`: use this GPU. Files instead of environment variables:
Compose sees no changed configuration, and a container that crashes reads the current flags when it restarts.
"""

from __future__ import annotations

import re
from pathlib import Path

from agent import files
from agent.protocol import Refusal, RefusedError

_SLOT = re.compile(r"[a-z]+(-\d+)?")
_DEVICE = re.compile(r"[\w.:-]{0,80}")  # a GPU's UUID or index; the live release reports it


def is_slot(name: str) -> bool:
    """Return whether a name is a slot's, and so safe as a folder's."""
    return bool(_SLOT.fullmatch(name))


class StartFlags:
    """The flags of all slots, one folder for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def set(self, slot: str, *, parked: bool, device: str = "") -> None:
        """Replace a slot's flags; raise RefusedError for a name that is no slot's or no device's."""
        if not is_slot(slot) or not _DEVICE.fullmatch(device):
            raise RefusedError(Refusal.INVALID, f"no slot or no device: {slot!r}, {device!r}")
        folder = self._folder / slot
        folder.mkdir(exist_ok=True)
        wanted = ({"park": ""} if parked else {}) | ({"device": device} if device else {})
        # A flag that stays is never missing, since a container may restart at any moment.
        for name, value in wanted.items():
            files.replace(folder / name, f"{value}\n")
        for path in folder.iterdir():
            if path.name not in wanted:
                path.unlink()

    def park(self, slot: str, *, parked: bool) -> None:
        """Set or clear `park` alone; the slot keeps its device."""
        device = self._folder / slot / "device"
        self.set(slot, parked=parked, device=device.read_text().strip() if device.exists() else "")
