"""Room for a model on a GPU: decide by the free memory, and reserve the GPU until the model is loaded.

Memory that a starting release will use is still free when another project of the machine measures it. So a project
reserves the GPUs of its plan, measures again, and loads.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from build.cutover.rules import gpu
from build.cutover.rules.gpu import GpuMemoryFacts, Need, Plan
from build.errors import InsufficientGpuMemoryError, LockLostError, OrchestratorError
from build.model.labels import FLAVOUR_LABEL, VRAM_LABEL
from build.model.release import Release
from build.progress import Progress
from build.target.types import Target

MIB = 2**20
ATTEMPTS = 5
POLL_S = 1.0


def reserved(target: Target, progress: Progress, owner: str, image: str, decide: Callable[[], Plan]) -> Plan:
    """Return a plan whose GPUs are reserved for `owner`; without a GPU, only the plan.

    Raises:
        InsufficientGpuMemoryError: `decide` refuses, or another owner keeps a GPU reserved.
    """
    chosen = decide()
    for _ in range(ATTEMPTS):
        if not chosen.devices:
            return chosen
        _acquire(target, progress, owner, image, chosen.devices)
        confirmed = decide()
        if set(confirmed.devices) <= set(chosen.devices):
            return confirmed
        target.reservations.release(owner)
        chosen = confirmed
    raise InsufficientGpuMemoryError(
        f"the free memory of the GPUs changed {ATTEMPTS} times while the release was planned",
        remedy="run the command again when no other project starts a release on these GPUs",
    )


def _acquire(target: Target, progress: Progress, owner: str, image: str, devices: tuple[str, ...]) -> None:
    began, noted = target.clock.now(), ""
    most_s = target.settings.start_timeout_s
    # A hold waits for the start of the process, for the drain and for the load.
    expiry_s = 2 * (most_s + target.hold_budget_s)
    for now in target.clock.polls(POLL_S):
        holder = target.reservations.acquire(owner, devices, image, expiry_s)
        if not holder:
            return
        if holder != noted:
            progress.note(f"waiting for a GPU: {holder} is loading a model")
            noted = holder
        if now - began > most_s:
            raise InsufficientGpuMemoryError(
                f"a GPU stayed reserved for {most_s:.0f} s: {holder} is loading a model",
                remedy="run the command again; if that process is dead, remove its container: `docker rm --force NAME`",
            )


@contextmanager
def releasing(target: Target) -> Iterator[None]:
    """Release this project's reservations at the end of the block, except after the loss of the cutover lock."""
    owns = True
    try:
        yield
    except LockLostError:
        owns = False  # they may be those of the next owner of the lock
        raise
    finally:
        if owns:
            with suppress(OrchestratorError):
                target.reservations.release(target.settings.project)


@contextmanager
def alone(target: Target, progress: Progress, release: Release) -> Iterator[str]:
    """Reserve room for a release that runs apart from the stack; yield its GPU's UUID, "" for any.

    Raises:
        InsufficientGpuMemoryError: the release does not fit beside the live one.
    """
    live = target.live_or_none(target.survey())
    colour = target.colours[live] if live else None
    serving = colour if colour and colour.running else None

    def decide() -> Plan:
        view = serving.gpu() if serving else target.gpu_view(release.image)
        pids = serving.pids() if serving and view.devices else frozenset[int]()
        facts = GpuMemoryFacts(view, pids, need(target, release), margin(target))
        return gpu.decide_in_free(
            facts,
            "run it on a machine with more GPU memory, or `switch` to it: a hold judges it in the live release's place",
        )

    owner = f"{target.settings.project}-{secrets.token_hex(4)}"
    try:
        chosen = reserved(target, progress, owner, release.image, decide)
        if chosen.devices:
            progress.note(chosen.reason)
        yield chosen.assigned(1)
    finally:
        target.reservations.release(owner)


def need(target: Target, release: Release) -> Need | None:
    """Return the GPU memory that a release needs, if known."""
    labels = target.image_labels(release.image) or {}
    return gpu.needed(target.history(), release, labels.get(FLAVOUR_LABEL, ""), labels.get(VRAM_LABEL, ""))


def margin(target: Target) -> int:
    """Return the GPU memory (bytes) that must stay free."""
    return int(target.settings.vram_margin_mb * MIB)
