"""Traffic: the candidate into rotation, the old colour out of it, and back again where that was a mistake."""

from __future__ import annotations

from build.cutover.run import ROLLBACK, STOP_GRACE_S, Facts, Run
from build.cutover.steps import drain, memory
from build.errors import CandidateExitedError, DrainError, ProxyError
from build.gate import gate
from build.model.colours import Colour
from build.model.hook_points import Point
from build.model.rollout import WHOLE
from build.model.states import Strategy
from build.notify import hooks

LOOK_S = 0.05
HANGS = "L7TOUT"  # connected, and no answer; a refused connection is L4CON, or HANA where a client met it first
RETRIES_S = 3.0  # `retries` and `timeout connect` of the proxy, and a little


def admit(run: Run) -> None:
    """The proxy sees the candidate healthy, and the user's hook agrees; no request goes there yet."""
    run.demand_check(run.idle)
    run.until_seen_healthy(run.idle)
    if run.settings.hooks.pre_switch:
        hooks.refuse_or_go_on(run.settings, run.target.journal, run.report, run.told)


def confirm(run: Run) -> Facts:
    """A release that stands by says one text of the golden set; else it stays out."""
    once = run.settings.model_copy(update={"gate_syntheses": 1})
    speakers = [run.ahead.of(each) if run.ahead else each for each in run.candidate.replicas]
    judged = [gate.run(each, None, once, run.clock, run.report, None, known=True) for each in speakers]
    return {"gate": judged[0].facts()}


def require_alive(run: Run) -> None:
    """What has died, hangs or was removed since it was judged gets no traffic; what serves already is left to serve.

    Raises:
        CandidateExitedError: it is not what was judged any more.
    """
    seen = run.seen(run.idle)
    if any(each.admin == "ready" for each in seen):  # resumed, and traffic had moved
        return
    if run.strategy is Strategy.WARM:
        # It stands by in maint, may have crashed once in its life, and has just spoken.
        gone = not run.candidate.running
    else:
        gone = run.candidate.crashed or any(each.admin == "maint" or not each.up for each in seen)
    # The proxy looks five times a second, and who began to hang since then gets no request either.
    if gone or not run.target.proxy.probe(*seen):
        raise CandidateExitedError(
            f"{run.release} in {run.idle} has ended or hangs since it was judged, or was taken out: it gets no request",
            remedy=f"`docker logs` of it may say why; switch again. {run.aftermath[0].upper()}{run.aftermath[1:]}",
        )


def switch(run: Run) -> Facts:
    """New requests go to the candidate, in one breath: it is made ready before the old colour drains."""
    began = run.clock.now()  # with the intent on the disk
    require_alive(run)
    run.report.step(f"traffic: {run.live or 'nothing'} -> {run.idle}")
    other = run.idle.other
    candidates, others, standbys = run.used(run.idle), run.used(other), run.standbys(other)
    run.rotate(
        (standbys, "ready" if run.soaks else "maint"),
        (candidates, WHOLE),
        (candidates, "ready"),
        (others, "drain" if run.live else "maint"),
        (others, WHOLE),
    )
    return {"acknowledged_ms": round((run.clock.now() - began) * 1000, 1)}


def announce(run: Run) -> None:
    """Whoever reads .env, and the user's hook, learn that the candidate serves."""
    run.target.refresh_env(run.idle)
    if run.settings.hooks.post_switch:
        hooks.tell(Point.POST_SWITCH, run.settings, run.target.journal, run.report, run.told)


def retire(run: Run) -> Facts:
    """The old colour finishes what it had begun, and stands by or stops; its container stays for a quick way back."""
    announce(run)
    if not (run.live and run.old):
        return {}
    run.rotate((run.live.standbys, "maint"))
    drained = drain.empty(run, run.live)
    if drained.left and not drained.ended:
        raise DrainError(
            f"{run.live} still has {drained.left} requests after {drained.took_s:.0f} s, which its release cannot cut; "
            f"{run.release} is live in {run.idle} and gets all new ones",
            remedy=f"`docker stop` {run.old.name} once they are done, or raise drain_long_s",
        )
    held = {"vram": memory.measured(run, run.idle), "vram_old": memory.measured(run, run.live)}
    run.target.proxy.shutdown_sessions(*run.live.servers)
    # What was gone back from is in doubt, and stands by for nobody.
    standby = run.settings.standby and run.kind != ROLLBACK
    if not standby:
        run.old.stop(STOP_GRACE_S)
    return {**drained.facts(), "standby": standby, **held}


def look_again(run: Run, colour: Colour) -> None:
    """Waits until the proxy sees a colour healthy that is to have the traffic again, which it gets in any case.

    Where it is all there is, it belongs into rotation while it is down, too: whenever it comes back, it serves.
    """
    run.demand_check(colour)
    try:
        run.until_seen_healthy(colour)
    except ProxyError as error:
        run.report.note(f"{error.message}; it is in rotation, and serves as soon as it is")


def _until_asked_elsewhere(run: Run) -> None:
    """Waits for what was on its way to a process that has gone: the proxy is about to ask the old colour for it.

    What a hanging process has is another matter: it gets loose only when its session is closed.
    """
    began = run.clock.now()
    for now in run.clock.polls(LOOK_S):
        others = [each for each in run.seen(run.idle) if each.check != HANGS]
        if not any(each.sessions or each.queued for each in others) or now - began > RETRIES_S:
            return


def give_back(run: Run) -> Facts:
    """Traffic to the old colour again, once the proxy sees it healthy; what the candidate has begun it may finish."""
    # One that fails its checks will end nothing: what it has not begun to answer, the proxy asks the old one.
    finishes = all(each.healthy for each in run.seen(run.idle))
    candidates = run.used(run.idle)
    facts: Facts = {}
    if run.live:
        lives = run.used(run.live)
        if any(each.admin == "maint" or not each.up for each in run.seen(run.live)):
            look_again(run, run.live)  # in drain its health is looked after, and need not be waited for
        run.rotate((lives, WHOLE), (lives, "ready"), (candidates, "drain"))
        if finishes:
            drained = drain.empty(run, run.idle, alive=True)
            facts, finishes = drained.facts(), not drained.died
    run.rotate((run.idle.other.standbys, "maint"), (candidates, "maint"), (candidates, WHOLE))
    _until_asked_elsewhere(run)
    run.target.proxy.shutdown_sessions(*candidates)
    if finishes:
        run.candidate.stop(STOP_GRACE_S)
    return facts
