"""Plan how the candidate and the live release share the GPU: measure, decide, report."""

from __future__ import annotations

from dataclasses import replace

from build.cutover import gpu_room
from build.cutover.rules import gpu, holding
from build.cutover.rules.gpu import GpuMemoryFacts, Plan
from build.cutover.state_machine import StrategyRequest
from build.model.colours import Colour
from build.model.labels import FLAVOUR_LABEL, Flavour
from build.model.release import Release
from build.model.states import Strategy
from build.progress import Progress
from build.target.colour_containers import ColourContainers
from build.target.gpu import View
from build.target.types import Target


def plan(
    target: Target,
    progress: Progress,
    release: Release,
    live: Colour | None,
    request: StrategyRequest,
    *,
    replicas: int,
) -> Plan:
    """Return the plan for `release` beside the live colour; its GPUs stay reserved until the model is loaded.

    Raises:
        InsufficientGpuMemoryError: the candidate does not fit with any allowed strategy.
        HoldTooLongError: requests would wait longer than the proxy's limit, and `request` does not force it.
    """

    def decide() -> Plan:
        return _decide(target, release, live, request, replicas)

    chosen = gpu_room.reserved(target, progress, target.settings.project, release.image, decide)
    progress.note(f"strategy {chosen.strategy}: {chosen.reason}")
    if live is None or chosen.strategy is not Strategy.HOLD:
        return chosen
    return _hold(target, release, target.colours[live].release(), replace(chosen, forced=request.forced))


def _decide(target: Target, release: Release, live: Colour | None, request: StrategyRequest, replicas: int) -> Plan:
    """Measure and decide. The live release's containers see the GPUs, without one a container for that purpose."""
    need, margin = gpu_room.need(target, release), gpu_room.margin(target)
    if live is None:
        facts = GpuMemoryFacts(target.gpu_view(release.image), need=need, margin=margin, replicas=replicas)
        return gpu.decide_in_free(facts, "switch to a smaller release")
    old = target.colours[live]
    view = old.gpu() if old.running else View(why=f"{live} is not running")
    pids = old.pids() if view.devices else frozenset[int]()
    # A cutover stops the standby release in the idle colour, so its memory counts as free.
    standby_pids = target.colours[live.other].pids() if view.devices else frozenset[int]()
    facts = GpuMemoryFacts(view.without(standby_pids), pids, need, margin, replicas, _runs_on_gpu(target, old))
    return gpu.decide(facts, request.strategy)


def _runs_on_gpu(target: Target, colour: ColourContainers) -> bool:
    release = colour.release() if colour.running else None
    labels = target.image_labels(release.image) if release else None
    return (labels or {}).get(FLAVOUR_LABEL) == Flavour.CUDA and target.settings.device != "cpu"


def _hold(target: Target, release: Release, old: Release | None, chosen: Plan) -> Plan:
    history = target.history()
    load_s, reload_s = (holding.last_load_s(history, wanted) if wanted else None for wanted in (release, old))
    holding.check(holding.expected_s(load_s), target.hold_budget_s, forced=chosen.forced)
    return replace(chosen, load_s=load_s, reload_s=reload_s)
