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
    """A process that holds GPU memory; `used` is None if the driver does not tell; `mine`: of the asked container."""

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
        """Return the memory that the asked container holds; `pids` are its processes in the host's numbering."""
        return sum(each.used or 0 for each in self.processes if each.mine or each.pid in pids)

    def without(self, pids: Collection[int]) -> Device:
        """Return the device as it will be after the processes `pids` exit."""
        going = [each for each in self.processes if each.pid in pids]
        staying = tuple(each for each in self.processes if each.pid not in pids)
        return replace(self, free=self.free + sum(each.used or 0 for each in going), processes=staying)


@dataclass(frozen=True)
class View:
    """The GPUs that one container sees and the driver's version; without devices, `why`."""

    devices: tuple[Device, ...] = ()
    why: str = ""
    driver: str = ""

    def device(self, uuid: str) -> Device | None:
        return next((each for each in self.devices if each.uuid == uuid), None)

    def beside(self, other: View) -> View:
        """Merge with another container's view; each device occurs once."""
        mine = {
            process.pid for view in (self, other) for each in view.devices for process in each.processes if process.mine
        }
        seen = {each.uuid: each for each in (*other.devices, *self.devices)}
        devices = [
            replace(each, processes=tuple(replace(process, mine=process.pid in mine) for process in each.processes))
            for each in seen.values()
        ]
        return replace(self, devices=tuple(devices), driver=self.driver or other.driver)

    def held(self, pids: Collection[int] = ()) -> int:
        return sum(each.held(pids) for each in self.devices)

    def without(self, pids: Collection[int]) -> View:
        """Return the view as it will be after the processes `pids` exit."""
        return replace(self, devices=tuple(each.without(pids) for each in self.devices))


def view(said: dict[str, Any]) -> View:
    """Parse the output of `service.probe gpu`."""
    return View(
        tuple(
            Device(
                uuid=each["uuid"],
                name=each["name"],
                total=each["total"],
                free=each["free"],
                processes=tuple(Process(**process) for process in each["processes"]),
            )
            for each in said["devices"]
        ),
        said["why"],
        said.get("driver", ""),
    )
