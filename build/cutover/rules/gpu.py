"""Choose overlap or hold, or refuse, by GPU memory: free, used by the live release, needed by the candidate (bytes)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from build.errors import InsufficientGpuMemoryError
from build.model.release import Release
from build.model.states import Strategy
from build.state.history import Cutover
from build.target.gpu import Device, View, gib

# Journal facts with the measured memory of the old and the new release.
MEASURED = ("vram_old", "vram")


@dataclass(frozen=True)
class Need:
    """GPU memory (bytes) that a release needs, and the source of that number."""

    size: int
    source: str


@dataclass(frozen=True)
class Plan:
    """How a cutover shares the GPU; its first journal record contains it.

    Attributes:
        devices: UUIDs of the candidate's GPUs, one per replica; empty without a GPU.
        assign: whether to assign the devices explicitly, since the target has several.
        need: memory of the candidate as far as known; 0 if unknown.
        live: memory of the live release on one device.
        enough: memory that must be free on each device before the candidate may load.
        reason: the arithmetic, for people.
        load_s, reload_s: expected load times of the candidate and of the old release; None: unknown.
        forced: requests may wait longer than the proxy's limit.
    """

    strategy: Strategy = Strategy.OVERLAP
    devices: tuple[str, ...] = ()
    assign: bool = False
    need: int = 0
    live: int = 0
    enough: int = 0
    reason: str = ""
    load_s: float | None = None
    reload_s: float | None = None
    forced: bool = False

    @classmethod
    def from_record(cls, facts: Mapping[str, Any]) -> Plan:
        """Rebuild a plan from a journal record; fields of other versions are ignored."""
        known = {name: facts[name] for name in cls.__dataclass_fields__ if name in facts}
        return cls(**{**known, "devices": tuple(known.get("devices", ()))})

    def assigned(self, number: int) -> str:
        """Return the device to assign to a replica (numbered from 1); empty for any."""
        return self.devices[number - 1] if self.assign and number <= len(self.devices) else ""


@dataclass(frozen=True)
class GpuMemoryFacts:
    """Input of the decision.

    Attributes:
        pids: the live containers' processes in the host's numbering.
        expected: the live release runs on a GPU, so a view without devices means that its memory is unknown.
    """

    view: View
    pids: frozenset[int] = field(default_factory=frozenset)
    need: Need | None = None
    margin: int = 0
    replicas: int = 1
    expected: bool = False


def decide(facts: GpuMemoryFacts, requested: Strategy | None) -> Plan:
    """Choose the strategy for a candidate beside a live release; `requested` is the operator's choice, None for auto.

    Each replica gets its own device.

    Raises:
        InsufficientGpuMemoryError: the candidate exceeds the free memory, or has more replicas than there are devices.
    """
    devices = facts.view.devices
    if not devices:
        return _blind(facts, requested)
    _require_devices(facts)
    need = facts.need or Need(_most(devices, facts.pids), "estimated from the live release")
    holders = [device for device in devices if device.held(facts.pids)]
    roomiest = _first(facts.replicas, devices, lambda device: device.free)
    freed = _first(
        facts.replicas,
        holders if len(holders) >= facts.replicas else devices,
        lambda device: device.free + device.held(facts.pids),
    )
    wanted = need.size + facts.margin

    def plan(strategy: Strategy, chosen: Sequence[Device], conclusion: str) -> Plan:
        return _plan(facts, need, strategy, chosen, conclusion)

    if requested is not Strategy.HOLD and all(device.free >= wanted for device in roomiest):
        return plan(Strategy.OVERLAP, roomiest, "both releases fit")
    if requested is not Strategy.OVERLAP and all(device.free + device.held(facts.pids) >= wanted for device in freed):
        return plan(Strategy.HOLD, freed, "the candidate fits after the live release has unloaded its model")
    if facts.need is None and requested is not None:
        return plan(requested, freed, "it may not fit by this estimate; --strategy requests it")
    if facts.need is None and not need.size:
        return plan(Strategy.OVERLAP, roomiest, "the memory of both releases is unknown, so both are loaded")
    overlap = requested is Strategy.OVERLAP
    case = "beside the live release" if overlap else "even after the live release has unloaded its model"
    raise _refusal(facts, need, case, "use `--strategy hold`" if overlap else "switch to a smaller release")


def decide_in_free(facts: GpuMemoryFacts, remedy: str) -> Plan:
    """Choose devices whose free memory is enough: no live release will unload its model for this candidate.

    Raises:
        InsufficientGpuMemoryError: the candidate exceeds the free memory, or has more replicas than there are devices.
    """
    devices = facts.view.devices
    if not devices:
        return Plan(reason=f"no GPU memory to share ({facts.view.why or 'no device'})")
    _require_devices(facts)
    need = facts.need or Need(_most(devices, facts.pids), "estimated from the live release")
    roomiest = _first(facts.replicas, devices, lambda device: device.free)
    if need.size and any(device.free < need.size + facts.margin for device in roomiest):
        raise _refusal(facts, need, "beside the other processes", remedy)
    return _plan(facts, need, Strategy.OVERLAP, roomiest, "it fits" if need.size else "its memory is unknown")


def _require_devices(facts: GpuMemoryFacts) -> None:
    count = len(facts.view.devices)
    if facts.replicas > count:
        raise InsufficientGpuMemoryError(
            f"{facts.replicas} replicas need {facts.replicas} GPUs, and the target has {count}",
            remedy=f"switch with `--replicas {count}`; nothing was changed",
        )


def _blind(facts: GpuMemoryFacts, requested: Strategy | None) -> Plan:
    """Return the plan for a live release that reports no device: only a CPU has room for both without a measurement."""
    why = facts.view.why or "no device"
    if facts.expected and facts.need and requested is None:
        need = f"the candidate needs {gib(facts.need.size)} ({facts.need.source})"
        reason = f"{need}, and the live release cannot read its GPU ({why}), so one release is loaded at a time"
        return Plan(Strategy.HOLD, need=facts.need.size, reason=reason)
    return Plan(requested or Strategy.OVERLAP, reason=f"no GPU memory to share ({why})")


def _plan(facts: GpuMemoryFacts, need: Need, strategy: Strategy, chosen: Sequence[Device], conclusion: str) -> Plan:
    """Return the plan for the chosen devices, with the arithmetic as its reason."""
    memory = "; ".join(
        f"{_of(device)} has {gib(device.free)} free, the live release uses {gib(device.held(facts.pids))}"
        for device in chosen
    )
    return Plan(
        strategy,
        devices=tuple(device.uuid for device in chosen),
        assign=len(facts.view.devices) > 1,
        need=need.size,
        live=_most(chosen, facts.pids),
        enough=min(need.size + facts.margin, *(device.free + device.held(facts.pids) for device in chosen)),
        reason=f"{_needs(need, facts.margin)}; {memory}: {conclusion}",
    )


def _needs(need: Need, margin: int) -> str:
    return f"the candidate needs {gib(need.size)} ({need.source}) and a margin of {gib(margin)}"


def _most(devices: Sequence[Device], pids: Collection[int]) -> int:
    """Return the live release's memory on the device where it uses most."""
    return max(device.held(pids) for device in devices)


def _first(count: int, devices: Sequence[Device], room: Callable[[Device], int]) -> tuple[Device, ...]:
    return tuple(sorted(devices, key=room, reverse=True)[:count])


def _of(device: Device) -> str:
    return f"{device.name} ({device.uuid[:12]}, {gib(device.total)})"


def _refusal(facts: GpuMemoryFacts, need: Need, case: str, remedy: str) -> InsufficientGpuMemoryError:
    rows = [
        f"{_of(device)}: {gib(device.free)} free, the live release uses {gib(device.held(facts.pids))}, "
        f"other processes {gib(max(0, device.total - device.free - device.held(facts.pids)))}"
        for device in facts.view.devices
    ]
    return InsufficientGpuMemoryError(
        f"the GPU has too little memory for the candidate, {case}: {_needs(need, facts.margin)}\n  "
        + "\n  ".join(rows),
        remedy=f"{remedy}, use a GPU with more memory, or stop the other processes on it; nothing was changed",
    )


def needed(history: Iterable[Cutover], release: Release, flavour: str, label: str) -> Need | None:
    """Return a release's need: from its image's label, its own runs, or the last run of its flavour."""
    if label.isdigit():
        return Need(int(label), "the image's label")
    runs = [run for cutover in history for key in MEASURED for run in cutover.facts.get(key, [])]
    own = [run["bytes"] for run in runs if run["sha"] == release.sha]
    if own:
        return Need(max(own), "the maximum of its earlier runs")
    alike = [run for run in runs if run["flavour"] == flavour]
    if alike:
        return Need(alike[-1]["bytes"], f"measured for {alike[-1]['sha'][:12]}, of the same flavour")
    return None
