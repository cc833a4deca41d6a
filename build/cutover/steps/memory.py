"""GPU memory during a cutover: measure a colour's usage, wait for freed memory, name the processes that hold it."""

from __future__ import annotations

from typing import Any

from build.cutover.run import STOP_GRACE_S, Run
from build.errors import InsufficientGpuMemoryError
from build.model.colours import Colour
from build.model.labels import FLAVOUR_LABEL
from build.target.colour_containers import ColourContainers
from build.target.gpu import Device, gib

POLL_S = 0.2


def measured(run: Run, colour: Colour) -> list[dict[str, Any]]:
    """Return the memory that the release in `colour` uses, for later decisions; [] without a GPU."""
    container = run.colours[colour]
    release = container.release() if run.plan.devices else None
    if release is None:
        return []
    pids = container.pids()
    held = max((device.held(pids) for device in container.gpu().devices), default=0)  # each replica has its own device
    flavour = (run.target.image_labels(release.image) or {}).get(FLAVOUR_LABEL, "")
    return [{"sha": release.sha, "flavour": flavour, "bytes": held}] if held else []


def await_free(run: Run) -> None:
    """Wait until the candidate's GPU has room; if not, name the processes that hold it and stop the old colour.

    Raises:
        InsufficientGpuMemoryError: still no room; the message names the processes.
    """
    if not run.plan.devices:
        return
    device = wait_for_room(run, run.candidate, run.plan.enough)
    if device and run.old and run.old.running and _may_hold(run.old, device):
        run.progress.note(f"GPU memory is not free after {run.settings.vram_timeout_s:.0f} s: {_holders(run, device)}")
        run.progress.note(f"stopping {run.old.name}")
        run.old.stop(STOP_GRACE_S)
        device = wait_for_room(run, run.candidate, run.plan.enough)
    if device:
        raise InsufficientGpuMemoryError(
            f"{gib(run.plan.enough)} of GPU memory did not become free: {device.name} has {gib(device.free)}; "
            f"its memory is used by {_holders(run, device)}",
            remedy="stop the processes that use it, then switch again",
        )


def wait_for_room(run: Run, observer: ColourContainers, enough: int) -> Device | None:
    """Wait for `enough` free bytes on each device; return None, or a device that is still short.

    Also returns None when no device is visible.
    """
    began = run.clock.now()
    for now in run.clock.polls(POLL_S):
        view = observer.gpu()
        short = next(
            (device for device in view.devices if device.uuid in run.plan.devices and device.free < enough), None
        )
        if short is None or now - began > run.settings.vram_timeout_s:
            return short
    raise AssertionError("a clock never ends")


def _may_hold(old: ColourContainers, device: Device) -> bool:
    own_view = old.gpu().device(device.uuid)
    # If the driver lists no processes, the old colour is the suspect.
    return not device.processes or (own_view is not None and own_view.held(old.pids()) > 0)


def _holders(run: Run, device: Device) -> str:
    """Describe which processes hold the device's memory, with their containers."""
    owners = run.target.processes()
    named = [
        f"pid {process.pid} in {owners[process.pid]}" if process.pid in owners else f"pid {process.pid}"
        for process in device.processes
    ]
    sizes = [f" ({gib(process.used)})" if process.used is not None else "" for process in device.processes]
    return ", ".join(map("".join, zip(named, sizes, strict=True))) or "a process that the driver does not list"
