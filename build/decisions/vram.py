"""Overlap, hold or refuse: what the GPUs have, what the live release holds, what the candidate needs. All in bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from build.decisions.history import Cutover, Release
from build.decisions.machine import Strategy
from build.errors import NoRoomError

GIB = 2**30
# Facts of a cutover: what the release that left held, and the one that came.
MEASURED = ("vram_old", "vram")


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
    """What one container sees of the GPUs; without devices, `why`."""

    devices: tuple[Device, ...] = ()
    why: str = ""

    def device(self, uuid: str) -> Device | None:
        return next((each for each in self.devices if each.uuid == uuid), None)

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
    )


@dataclass(frozen=True)
class Need:
    """How much a release takes, and how that is known."""

    size: int
    source: str


@dataclass(frozen=True)
class Plan:
    """How a cutover shares the GPU; it is journaled when the cutover begins.

    Attributes:
        device: UUID of the GPU that the candidate goes to; empty without one.
        assign: the candidate must be told so, since there are several.
        need: what the candidate takes, at best knowledge; 0 when nothing is known.
        live: what the live release holds on `device`.
        enough: what must be free there before the candidate may load.
        reason: the arithmetic, for people.
        expected_s: how long requests will wait; None when unknown, or when none does.
    """

    strategy: Strategy = Strategy.OVERLAP
    device: str = ""
    assign: bool = False
    need: int = 0
    live: int = 0
    enough: int = 0
    reason: str = ""
    expected_s: float | None = None


@dataclass(frozen=True)
class Facts:
    """What the decision rests on. `pids` are the live container's processes as the host numbers them."""

    view: View
    pids: frozenset[int] = field(default_factory=frozenset)
    need: Need | None = None
    margin: int = 0


def decide(facts: Facts, asked: Strategy | None) -> Plan:
    """The strategy for a candidate beside a live release; `asked` is the operator's wish, None for auto.

    Raises:
        NoRoomError: the candidate does not fit, by a need that is known.
    """
    devices = facts.view.devices
    if not devices:
        return Plan(asked or Strategy.OVERLAP, reason=f"no GPU memory to share ({facts.view.why or 'no device'})")
    need = facts.need or Need(facts.view.held(facts.pids), "an estimate: what the live release holds")
    several = len(devices) > 1
    roomiest = max(devices, key=lambda each: each.free)
    holders = [each for each in devices if each.held(facts.pids)] or devices
    freed = max(holders, key=lambda each: each.free + each.held(facts.pids))
    wanted = need.size + facts.margin
    sums = f"it needs {gib(need.size)} ({need.source}) and a margin of {gib(facts.margin)}"

    def plan(strategy: Strategy, device: Device, why: str) -> Plan:
        held = device.held(facts.pids)
        reason = f"{sums}; {_of(device)} has {gib(device.free)} free, the live release holds {gib(held)}: {why}"
        enough = min(wanted, device.free + held)
        return Plan(strategy, device.uuid, several, need.size, held, enough, reason)

    if asked is not Strategy.HOLD and roomiest.free >= wanted:
        return plan(Strategy.OVERLAP, roomiest, "both fit")
    if asked is not Strategy.OVERLAP and freed.free + freed.held(facts.pids) >= wanted:
        return plan(Strategy.HOLD, freed, "it fits when the live release has given its memory back")
    if facts.need is None and asked is not None:
        return plan(asked, freed, "it may not fit, but nothing better is known, and it was asked for")
    if facts.need is None and not need.size:
        return plan(Strategy.OVERLAP, roomiest, "nothing is known of either, so they are tried side by side")
    raise _refusal(facts, sums, asked)


def _of(device: Device) -> str:
    return f"{device.name} ({device.uuid[:12]}, {gib(device.total)})"


def _refusal(facts: Facts, sums: str, asked: Strategy | None) -> NoRoomError:
    rows = [
        f"{_of(each)}: {gib(each.free)} free, the live release holds {gib(each.held(facts.pids))}, "
        f"others {gib(max(0, each.total - each.free - each.held(facts.pids)))}"
        for each in facts.view.devices
    ]
    how = "beside the live release" if asked is Strategy.OVERLAP else "even when the live release has given its back"
    remedy = "`--strategy hold` lets requests wait for it" if asked is Strategy.OVERLAP else "a smaller release"
    return NoRoomError(
        f"the GPU has no room for the candidate, {how}: {sums}\n  " + "\n  ".join(rows),
        remedy=f"{remedy}, a GPU with more memory, or end what else holds it; nothing was touched",
    )


def needed(history: Iterable[Cutover], release: Release, flavour: str, label: str) -> Need | None:
    """What a release takes: by its image's label, by its own runs, or by the last run of its flavour."""
    if label.isdigit():
        return Need(int(label), "the image's label")
    runs = [run for cutover in history for key in MEASURED for run in cutover.facts.get(key, [])]
    own = [run["bytes"] for run in runs if run["sha"] == release.sha]
    if own:
        return Need(max(own), "the most that its earlier runs held")
    alike = [run for run in runs if run["flavour"] == flavour]
    if alike:
        return Need(alike[-1]["bytes"], f"what {alike[-1]['sha'][:12]}, of the same flavour, held")
    return None
