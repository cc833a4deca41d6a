"""The hold, for one model at a time: requests wait in the proxy while the old colour frees its memory.

The old process stays without its model, for a rollback: it loads the model again if the candidate fails.
"""

from __future__ import annotations

from typing import cast

from build.cutover.rules import drain, holding
from build.cutover.run import STOP_GRACE_S, JournalFacts, Run
from build.cutover.steps import candidate, memory, traffic
from build.cutover.steps.drain import Tally
from build.errors import (
    CandidateStalledError,
    CommandFailedError,
    DrainError,
    InsufficientGpuMemoryError,
)
from build.model.colours import Colour
from build.target import in_flight
from build.target.colour_containers import ColourContainers
from build.target.cpu import CANDIDATE_WEIGHT, SERVING_WEIGHT

POLL_S = 0.1  # requests wait, so short polls are worth their CPU time
UNLOAD_S = 30
UNLOAD_RETRY_S = 5
RELOAD_RETRY_S = 5
LONG_SHARE = 0.8  # share of the drain time in which only long requests wait


def park(run: Run) -> JournalFacts:
    """Start the candidate's process without its model, beside live traffic, and wait for its imports."""
    candidate.launch(run, parked=True)
    start = candidate.starting(run, run.settings, CANDIDATE_WEIGHT)
    phase, took_s = start.await_phases("unloaded", "loading", "warming", "ready")
    if phase != "unloaded":
        raise InsufficientGpuMemoryError(
            f"{run.release} predates holds: it loads its model at once, beside the live release",
            remedy="use `--strategy overlap` if the GPU has memory for both releases",
        )
    return {"park_s": round(took_s, 2)}


def hold(run: Run) -> JournalFacts:
    """Hold requests, long ones first, until the old colour is empty; then unload its model."""
    live, old = _live_colour(run)
    budget_s = run.target.hold_budget_s
    candidate.waited_s(run)  # starts the clock
    expected_s = holding.expected_s(run.plan.load_s)
    expected = f"about {expected_s:.0f} s" if expected_s is not None else "an unknown time"
    run.progress.step(
        f"holding requests, expected for {expected}; after {budget_s:.0f} s a client gets 503 with Retry-After"
    )
    facts: JournalFacts = {}
    if old.running and old.status().phase != "unloaded":
        facts["vram_old"] = memory.measured(run, live)
        most_s = max(run.settings.drain_budgets.values())
        drain_s = holding.drain_budget_s(expected_s, budget_s, most_s=most_s)
        tally = Tally(run, live)
        facts["long_s"], closed = _empty(run, live, drain_s, tally)
        facts["drain"] = tally.ended()
        _unload(run, live, old)
    else:  # resumed: the old model is unloaded
        run.proxy.hold("all")
        closed = run.clock.now()
    memory.await_free(run)
    return {**facts, "closed_s": round(run.clock.now() - closed, 2)}


def _live_colour(run: Run) -> tuple[Colour, ColourContainers]:
    if run.live is None:
        raise AssertionError("nothing is live, so nothing holds memory")
    return run.live, cast(ColourContainers, run.old)


def _empty(run: Run, colour: Colour, budget_s: float, tally: Tally) -> tuple[float, float]:
    """Empty a colour and take it out of rotation.

    Returns how long (s) only long requests waited, and the clock's time when all began to wait. Batch items are aborted
    at once, since people wait from now on; their retries wait at the gate.

    Raises:
        DrainError: the colour still has requests after the budget.
    """
    proxy, began = run.proxy, run.clock.now()
    proxy.hold("long")
    tally.abort("batch")
    _await_young(run, colour, budget_s * LONG_SHARE)
    proxy.hold("all")
    closed = run.clock.now()
    remaining = run.await_empty(colour, began + budget_s - closed, POLL_S)
    if not remaining:
        # Only now, and maint instead of drain: requests other than speech pass the gate, and a cookie sends them here.
        run.rotate((colour.servers, "maint"))
        remaining = run.await_empty(colour, began + budget_s - run.clock.now(), POLL_S)
    if remaining:
        raise DrainError(
            f"{colour} still has {remaining} requests after {run.clock.now() - began:.0f} s; "
            "held requests cannot wait longer",
            remedy="switch again when fewer long requests are in flight",
        )
    tally.read()
    return round(closed - began, 2), closed


def _await_young(run: Run, colour: Colour, budget_s: float) -> None:
    """Wait until every request on the colour began after now: the gate holds long ones, so the rest is short."""
    gated, container = run.clock.now(), run.colours[colour]
    for now in run.clock.polls(POLL_S):
        # Read the clock before the service answers: the ages that it reports can only be larger.
        age_s = now - gated
        if run.clock.hurried:
            return
        oldest_s = container.status().oldest_s
        if oldest_s is None or oldest_s < age_s or age_s > budget_s:
            return


def _unload(run: Run, colour: Colour, container: ColourContainers) -> None:
    """Make a colour's process unload its model; stop the container if it cannot."""
    run.target.orders.park(*colour.profiles)  # so that it does not load its model if it crashes and restarts
    began, refusal = run.clock.now(), ""
    for now in run.clock.polls(POLL_S):
        refusal = container.control("unload", UNLOAD_S)
        if not refusal:
            return
        if now - began > UNLOAD_RETRY_S:
            break
    run.progress.note(f"{container.name} does not unload its model ({refusal}); stopping it")
    container.stop(STOP_GRACE_S)


def load(run: Run) -> JournalFacts:
    """Make the candidate load its model into the freed memory."""
    run.candidate.set_cpu_weight(SERVING_WEIGHT)
    run.target.orders.unpark(*run.idle.profiles)
    if run.candidate.status().phase == "unloaded":
        run.candidate.begin_load()
    return {"load_s": candidate.warm(run, memory.POLL_S, SERVING_WEIGHT)["warm_s"]}


def switch(run: Run) -> JournalFacts:
    """Make the candidate ready and open the gate in one command; the held requests go to the candidate."""
    began = run.clock.now()  # after the intent is on disk
    traffic.require_alive(run)
    held = run.proxy.held().held
    run.progress.step(f"traffic: {run.live} -> {run.idle}, with {held} held requests")
    run.proxy.release(*run.server_names(run.idle))
    return {"acknowledged_ms": round((run.clock.now() - began) * 1000, 1), "waited": held}


def retire(run: Run) -> JournalFacts:
    """Stop the old process, idle since the hold; its container stays and loads its model when it starts."""
    traffic.require_not_undone(run)
    traffic.announce(run)
    live, old = _live_colour(run)
    tally = Tally(run, live)
    tally.abort(in_flight.STREAM)
    tally.read()
    ended = drain.summed([run.journaled.facts.get("drain", {}), tally.ended()])
    run.proxy.shutdown_sessions(*live.servers)
    old.stop(STOP_GRACE_S)
    run.target.orders.unpark(*live.profiles)
    held_s = holding.held_s(run.target.journal.read(), run.id)
    if held_s is not None:
        run.progress.note(f"requests were held for {held_s:.1f} s")
    if ended:
        run.progress.note(f"{live}: {drain.describe(ended)}")
    return {"hold_s": held_s, "drain": ended, "vram": memory.measured(run, run.idle)}


def reload(run: Run, error: BaseException) -> JournalFacts:
    """Make the old colour serve again, with its model and the held requests; remove the candidate.

    The candidate is removed earlier only if the old process needs its memory; by then all requests are held.

    Raises:
        OrchestratorError: the old colour does not serve. The gate is open; a candidate that served and still can, does.
    """
    live, old = _live_colour(run)
    run.progress.step(f"{live} takes over again")
    served = any(server.admin == "ready" for server in run.servers(run.idle))
    facts: JournalFacts = {}
    try:
        run.target.orders.unpark(*live.profiles)
        if served:
            facts = _retire_candidate(run)
        if not (old.running and old.status().phase == "ready"):
            run.proxy.hold("all")
            candidate.discard(run, error)
            _restore(run, old)
        if not all(server.usable for server in run.servers(live)):
            traffic.recheck(run, live)
        traffic.require_answer(run, live)
        run.proxy.release(*run.server_names(live))
        traffic.require_rotation(run, live)
    except Exception:
        _open_gate(run, live, served=served)
        raise
    candidate.discard(run, error)
    return facts


def _open_gate(run: Run, live: Colour, *, served: bool) -> None:
    """Open the gate for the candidate if it served and still can, else for the old colour.

    Without a usable server the proxy answers with an error.
    """
    if served and run.candidate.replicas and run.candidate.status().phase == "ready":
        run.proxy.release(*run.server_names(run.idle))
        return
    run.demand_check(live)  # in rotation, marked down: it serves as soon as a health check passes
    run.proxy.release(*run.server_names(live))


def _retire_candidate(run: Run) -> JournalFacts:
    """Take a serving candidate out of rotation; abort its requests that do not finish in time."""
    tally = Tally(run, run.idle)
    remaining = 0
    try:
        _empty(run, run.idle, max(run.drain_budgets.values()), tally)
    except DrainError as error:
        run.progress.note(error.message)
        run.rotate((run.idle.servers, "maint"))
        for kind in run.settings.drain_budgets:
            tally.abort(kind)
        _, remaining = tally.read()
        run.proxy.shutdown_sessions(*run.idle.servers)
        traffic.stop_gently(run)
    ended = drain.with_remaining(tally.ended(), remaining)
    if ended:
        run.progress.note(f"{run.idle}: {drain.describe(ended)}")
    return {"drain": ended}


def _restore(run: Run, old: ColourContainers) -> None:
    """Wait until the candidate's memory is free and the old process has loaded its model.

    Raises:
        CandidateStalledError: the old process is not ready within the start timeout.
    """
    if not old.replicas:
        raise CommandFailedError(
            f"{old.name} was removed, so no release can serve", remedy="switch to a release that is known to be good"
        )
    if not old.running:
        old.start()
    elif run.plan.devices:
        memory.wait_for_room(run, old, run.plan.live)
    began, requested = run.clock.now(), -float(RELOAD_RETRY_S)
    for now in run.clock.polls(memory.POLL_S):
        phase = old.status().phase
        if phase == "ready":
            run.progress.note(f"{old.name} reloaded its model in {now - began:.1f} s")
            return
        if phase == "unloaded" and now - began >= requested + RELOAD_RETRY_S:
            old.begin_load()
            requested = now - began
        if now - began > run.settings.start_timeout_s:
            raise CandidateStalledError(
                f"{old.name} did not reload its model within {run.settings.start_timeout_s:.0f} s ({phase})",
                remedy=f"see `docker logs {old.name}`, or switch to another release; until then no release serves",
            )
