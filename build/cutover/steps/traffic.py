"""Move traffic: the candidate into rotation, the old colour out of it, and back if the candidate fails."""

from __future__ import annotations

from build.cutover.run import ROLLBACK, STOP_GRACE_S, JournalFacts, Run
from build.cutover.steps import candidate, drain, memory
from build.errors import (
    CandidateExitedError,
    CommandFailedError,
    DrainError,
    EngineUnreachableError,
    InconclusiveError,
    ProxyError,
)
from build.gate import gate
from build.model.colours import Colour
from build.model.hook_points import Point
from build.model.rollout import WHOLE
from build.model.states import Strategy
from build.notify import hooks

POLL_S = 0.05
HANGS = "L7TOUT"  # connected but no answer; a refused connection is L4CON, or HANA if a client request hit it first
RETRIES_S = 3.0  # a bit more than the proxy's `retries` times `timeout connect`


def admit(run: Run) -> None:
    """Wait for the proxy's health checks of the candidate and run the pre-switch hook; no request goes there yet."""
    run.demand_check(run.idle)
    run.await_health_check(run.idle)
    if run.settings.hooks.pre_switch:
        bounded = candidate.bounded_settings(run, loading=False)  # in a hold, clients wait for the hook
        hooks.run_pre_switch(bounded, run.target.journal, run.progress, run.journaled)


def confirm(run: Run) -> JournalFacts:
    """Run one golden text on the standby release; a failure keeps it out of rotation."""
    once = run.settings.model_copy(update={"gate_syntheses": 1})
    speakers = [run.ahead.of(replica) if run.ahead else replica for replica in run.candidate.replicas]
    judged = [gate.run(speaker, None, once, run.clock, run.progress, None, known=True) for speaker in speakers]
    return {"gate": judged[0].facts()}


def require_alive(run: Run) -> None:
    """Refuse traffic to a candidate that exited, hangs or was removed since the gate, unless it already serves.

    Raises:
        CandidateExitedError: the candidate exited, hangs or was taken out.
    """
    servers = run.servers(run.idle)
    if any(server.admin == "ready" for server in servers):  # resumed after traffic had moved
        return
    if run.strategy is Strategy.WARM:
        # A standby release is in maint and has just passed a synthesis; an old restart does not count against it.
        gone = not run.candidate.running
    else:
        gone = run.candidate.crashed or any(server.admin == "maint" or not server.up for server in servers)
    # The proxy checks twice a second; the probe also catches a candidate that began to hang since.
    if gone or not run.proxy.probe(*servers):
        raise CandidateExitedError(
            f"{run.release} in {run.idle} exited, hangs or was taken out after the gate, so it gets no traffic",
            remedy=f"read its log, then switch again; {run.client_impact}",
        )


def switch(run: Run) -> JournalFacts:
    """Send new requests to the candidate in one batch: it becomes ready before the old colour drains."""
    began = run.clock.now()  # after the intent is on disk
    require_alive(run)
    run.progress.step(f"traffic: {run.live or 'nothing'} -> {run.idle}")
    other = run.idle.other
    candidates, others, standbys = run.server_names(run.idle), run.server_names(other), run.standbys(other)
    run.rotate(
        (standbys, "ready" if run.soaks else "maint"),
        (candidates, WHOLE),
        (candidates, "ready"),
        (others, "drain" if run.live else "maint"),
        (others, WHOLE),
    )
    return {"acknowledged_ms": round((run.clock.now() - began) * 1000, 1)}


def require_not_undone(run: Run) -> None:
    """Check that the candidate is in rotation before the old colour leaves it; raise InconclusiveError if not.

    An `abort` that was killed may have given the traffic back, and the journal does not know.
    """
    if not any(server.admin == "ready" for server in run.servers(run.idle)):
        raise InconclusiveError(
            f"{run.idle} is not in rotation: a rollback was interrupted",
            remedy="finish the rollback with `python -m build.cutover abort`",
        )


def announce(run: Run) -> None:
    """Update .env and run the post-switch hook."""
    run.refresh_env(run.idle)
    if run.settings.hooks.post_switch:
        hooks.notify(Point.POST_SWITCH, run.settings, run.target.journal, run.progress, run.journaled)


def retire(run: Run) -> JournalFacts:
    """Drain the old colour; keep it on standby or stop it. Its container stays for a fast rollback."""
    if run.live:
        require_not_undone(run)
    announce(run)
    if not (run.live and run.old):
        return {}
    run.rotate((run.live.standbys, "maint"))
    drained = drain.empty(run, run.live)
    if drained.remaining and not drained.ended:
        raise DrainError(
            f"{run.live} still has {drained.remaining} requests after {drained.took_s:.0f} s, "
            f"and its release cannot abort them; {run.release} is live in {run.idle} and gets all new requests",
            remedy=f"`docker stop {run.old.name}` when they have ended, or raise drain_long_s",
        )
    held = {"vram": memory.measured(run, run.idle), "vram_old": memory.measured(run, run.live)}
    run.proxy.shutdown_sessions(*run.live.servers)
    # A release we rolled back from is not kept on standby.
    standby = run.settings.standby and run.kind != ROLLBACK
    if not standby:
        run.old.stop(STOP_GRACE_S)
    return {**drained.facts(), "standby": standby, **held}


def recheck(run: Run, colour: Colour) -> None:
    """Wait until the proxy sees the colour healthy; report a timeout and go on, since it gets the traffic anyway.

    The only colour belongs in rotation even while it is down: it serves as soon as it recovers.
    """
    run.demand_check(colour)
    try:
        run.await_health_check(colour)
    except ProxyError as error:
        run.progress.note(f"{error.message}; {colour} is in rotation and serves as soon as a health check passes")


def _await_retries(run: Run) -> None:
    """Wait until the proxy retries on the old colour the requests that were on the way to a dead process.

    Requests on a hanging process are not waited for: they fail over only when their sessions are closed.
    """
    began = run.clock.now()
    for now in run.clock.polls(POLL_S):
        others = [server for server in run.servers(run.idle) if server.check != HANGS]
        if not any(server.sessions or server.queued for server in others) or now - began > RETRIES_S:
            return


def require_answer(run: Run, colour: Colour) -> None:
    """Check that the colour can serve: the proxy takes it for up, and it answers a health check now.

    Raises:
        ProxyError: none of its containers answers.
    """
    servers = run.servers(colour)
    answering = [server for server in servers if server.up and run.proxy.probe(server)]
    if not answering:
        raise ProxyError(
            f"{colour} fails the proxy's health checks",
            remedy=f"see `docker logs {run.colours[colour].name}`; start it if it has exited",
        )
    if len(answering) < len(servers):
        run.progress.note(f"only {len(answering)} of {len(servers)} containers of {colour} answer")


def require_rotation(run: Run, colour: Colour) -> None:
    """Check that the proxy sends requests to the colour; raise ProxyError if not."""
    if not any(server.usable for server in run.servers(colour)):
        raise ProxyError(f"{colour} is not in rotation although the proxy accepted it")


def _give_back(run: Run, live: Colour) -> None:
    """Move new requests to the old colour; until it provably serves, the candidate keeps them.

    Raises:
        ProxyError: the old colour does not serve. It stays in rotation, and serves as soon as a health check passes.
    """
    lives, candidates = run.server_names(live), run.server_names(run.idle)
    served = any(server.admin == "ready" for server in run.servers(run.idle))
    if any(server.admin == "maint" or not server.up for server in run.servers(live)):
        recheck(run, live)  # in drain its health checks run, so no wait is needed
    try:
        require_answer(run, live)
    except ProxyError:
        run.rotate((lives, WHOLE), (lives, "ready"))
        raise
    run.rotate((lives, WHOLE), (lives, "ready"), (candidates, "drain"))
    try:
        require_rotation(run, live)
    except ProxyError:
        if served:
            run.rotate((candidates, "ready"))
        raise


def return_traffic(run: Run) -> JournalFacts:
    """Move traffic back to the old colour once it provably serves; the candidate finishes its requests.

    Raises:
        ProxyError: the old colour does not serve, or the candidate may still get requests.
    """
    # A candidate that fails its health checks finishes nothing; the proxy retries on the old colour.
    finishes = all(server.healthy for server in run.servers(run.idle))
    candidates = run.server_names(run.idle)
    facts: JournalFacts = {}
    if run.live:
        _give_back(run, run.live)
        if finishes:
            drained = drain.empty(run, run.idle, alive=True)
            facts, finishes = drained.facts(), not drained.died
    run.rotate((run.idle.other.standbys, "maint"), (candidates, "maint"), (candidates, WHOLE))
    _await_retries(run)
    run.proxy.shutdown_sessions(*candidates)
    if finishes:
        stop_gently(run)
    return facts


def stop_gently(run: Run) -> None:
    """Let the candidate exit by itself before it is removed; its removal does not depend on it."""
    try:
        run.candidate.stop(run.stop_grace_s)
    except (CommandFailedError, EngineUnreachableError) as error:
        run.progress.note(f"{run.candidate.name} did not stop: {error.message}")
