"""GPUs as a container sees them: devices, processes, memory in bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

GIB = 2**30


def gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


@dataclass(frozen=True)
class Process:
    """A process that holds GPU memory.

    `used` is None if the driver does not report it. `mine`: a process of the container that took the view.
    """

    pid: int
    used: int | None
    mine: bool


@dataclass(frozen=True)
class Device:
    """One GPU as NVML reports it."""

    uuid: str
    name: str
    total: int
    free: int
    processes: tuple[Process, ...] = ()

    def held(self, pids: Collection[int] = ()) -> int:
        """Return the memory that the container of the view holds; `pids` are its processes in the host's numbering."""
        return sum(process.used or 0 for process in self.processes if process.mine or process.pid in pids)

    def without(self, pids: Collection[int]) -> Device:
        """Return the device as it will be after the processes `pids` exit."""
        exiting = [process for process in self.processes if process.pid in pids]
        remaining = tuple(process for process in self.processes if process.pid not in pids)
        return replace(self, free=self.free + sum(process.used or 0 for process in exiting), processes=remaining)


@dataclass(frozen=True)
class View:
    """The GPUs that one container sees and the driver's version; without devices, `why`."""

    devices: tuple[Device, ...] = ()
    why: str = ""
    driver: str = ""

    def device(self, uuid: str) -> Device | None:
        return next((device for device in self.devices if device.uuid == uuid), None)

    def beside(self, other: View) -> View:
        """Merge with another container's view; each device occurs once."""
        mine = {
            process.pid
            for view in (self, other)
            for device in view.devices
            for process in device.processes
            if process.mine
        }
        by_uuid = {device.uuid: device for device in (*other.devices, *self.devices)}
        devices = [
            replace(device, processes=tuple(replace(process, mine=process.pid in mine) for process in device.processes))
            for device in by_uuid.values()
        ]
        return replace(self, devices=tuple(devices), driver=self.driver or other.driver)

    def held(self, pids: Collection[int] = ()) -> int:
        return sum(device.held(pids) for device in self.devices)

    def without(self, pids: Collection[int]) -> View:
        """Return the view as it will be after the processes `pids` exit."""
        return replace(self, devices=tuple(device.without(pids) for device in self.devices))


def view(output: dict[str, Any]) -> View:
    """Parse the output of `service.probe gpu`."""
    return View(
        tuple(
            Device(
                uuid=device["uuid"],
                name=device["name"],
                total=device["total"],
                free=device["free"],
                processes=tuple(Process(**process) for process in device["processes"]),
            )
            for device in output["devices"]
        ),
        output["why"],
        output.get("driver", ""),
    )
