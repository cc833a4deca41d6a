"""The GPUs as a container sees them: devices, processes, memory in bytes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

GIB = 2**30


def gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


@dataclass(frozen=True)
class Process:
    """Who holds memory; `used` is None where the driver does not say, `mine` means the container that was asked."""

    pid: int
    used: int | None
    mine: bool


@dataclass(frozen=True)
class Device:
    """One GPU as NVML sees it."""

    uuid: str
    name: str
    total: int
    free: int
    processes: tuple[Process, ...] = ()

    def held(self, pids: Collection[int] = ()) -> int:
        """What the container that was asked holds; `pids` are its processes as the host numbers them."""
        return sum(each.used or 0 for each in self.processes if each.mine or each.pid in pids)

    def without(self, pids: Collection[int]) -> Device:
        """As it will be when the processes `pids` have ended."""
        going = [each for each in self.processes if each.pid in pids]
        staying = tuple(each for each in self.processes if each.pid not in pids)
        return replace(self, free=self.free + sum(each.used or 0 for each in going), processes=staying)


@dataclass(frozen=True)
class View:
    """What one container sees of the GPUs, and the driver's version; without devices, `why`."""

    devices: tuple[Device, ...] = ()
    why: str = ""
    driver: str = ""

    def device(self, uuid: str) -> Device | None:
        return next((each for each in self.devices if each.uuid == uuid), None)

    def beside(self, other: View) -> View:
        """What this container and another one see, each device once."""
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
        """As it will be when the processes `pids` have ended."""
        return replace(self, devices=tuple(each.without(pids) for each in self.devices))


def view(said: dict[str, Any]) -> View:
    """What `service.probe gpu` printed."""
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
