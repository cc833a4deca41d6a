"""The candidate, before any traffic: may it begin, does it start, does it get ready, does it speak well."""

from __future__ import annotations

from build.decisions import gate
from build.decisions.warmup import Look, Outcome, Warmup
from build.errors import (
    CandidateExitedError,
    CandidateStalledError,
    CommandFailedError,
    GateRefusedError,
    ImageNotFoundError,
    LineError,
    PreflightError,
)
from build.procedures.steps.run import STOP_GRACE_S, Facts, Run

# A candidate imports and loads beside live traffic: it gets what that leaves, until it can speak.
CANDIDATE_WEIGHT, SERVING_WEIGHT = 64, 1024


def preflight(run: Run) -> None:
    """Refuses what can be known to go wrong, before anything is touched."""
    target, servers = run.target, run.target.proxy.servers()
    if target.engine.image(run.release.image) is None:
        raise ImageNotFoundError(
            f"the image of {run.release} is not on the engine any more ({run.release.image})",
            remedy="pull it, or build it from its commit and name it",
        )
    if run.idle.server not in servers:
        raise PreflightError(f"the proxy knows no server {run.idle.server}", remedy="`make down`, then `make up`")
    idle = servers[run.idle.server]
    unfinished = run.candidate.load(idle.sessions, idle.queued).work if idle.sessions else 0
    if unfinished:
        raise PreflightError(
            f"{run.idle} still finishes {unfinished} requests of an earlier cutover",
            remedy="wait until `build.cutover status` shows none in flight there",
        )
    if run.live and not servers[run.live.server].usable:
        run.report.note(f"{run.live} is live but the proxy's checks fail on it; the candidate is its way out")
    target.refresh_env(run.live, **{run.idle.value: run.release.image})
    target.compose.check()


def start(run: Run) -> None:
    """Starts the release in the idle colour, to load its model by itself."""
    run.target.orders.give(run.idle, parked=False, device=run.plan.device if run.plan.assign else "")
    launch(run)


def launch(run: Run) -> None:
    """Starts the release's container in the idle colour, whatever orders its process will find."""
    run.report.step(f"starting {run.release} in {run.idle}")
    # Out of rotation before it exists: whatever an earlier run left, it gets no request until it is verified.
    run.target.proxy.set_admin(run.idle.server, "maint")
    run.candidate.stop(STOP_GRACE_S)
    run.candidate.remove()
    run.target.refresh_env(run.live, **{run.idle.value: run.release.image})
    run.target.compose.up(run.idle.service)
    started = run.candidate.release()
    if started != run.release:
        raise CommandFailedError(
            f"Compose started {started} in {run.idle}, not {run.release}: .env was changed meanwhile",
            remedy="let nothing else run `docker compose` or write .env during a cutover; then switch again",
        )
    run.candidate.set_cpu_weight(CANDIDATE_WEIGHT)


def warm(run: Run, every_s: float = 0.5) -> Facts:
    """Waits until the candidate is ready, as long as it makes progress."""
    settings, began = run.settings, run.clock.now()
    warmup = Warmup(settings.stall_timeout_s, settings.start_timeout_s, began)
    seen = ""
    for now in run.clock.polls(every_s):
        look = run.candidate.look(now)
        outcome = warmup.judge(look)
        if look.phase and look.phase != seen:
            seen = look.phase
            run.report.note(f"{now - began:5.1f} s  {seen}")
        if outcome is Outcome.READY:
            return {"warm_s": round(now - began, 2)}
        if outcome is not Outcome.WAIT:
            raise not_warm(run, outcome, look, now - began)
    raise AssertionError("a clock never ends")


def not_warm(run: Run, outcome: Outcome, look: Look, after_s: float) -> LineError:
    """Why the wait for a candidate is over."""
    if outcome is Outcome.EXITED:
        why = look.error or (f"exit code {look.exit_code}" if look.exit_code is not None else "it was removed")
        return CandidateExitedError(
            f"the candidate {run.release} stopped by itself {after_s:.1f} s after its start: {why}",
            remedy=f"its log above says why; {run.aftermath}",
        )
    where = f"it is {look.phase or 'silent on its control socket'}" + (f" ({look.error})" if look.error else "")
    limit = (
        f"no progress for {run.settings.stall_timeout_s:.0f} s"
        if outcome is Outcome.STALLED
        else f"not ready within {run.settings.start_timeout_s:.0f} s"
    )
    return CandidateStalledError(
        f"the candidate {run.release} never got ready: {limit}; {where}",
        remedy="its log above may say why; stall_timeout_s and start_timeout_s set the patience",
    )


def verify(run: Run) -> Facts:
    """The gate: the candidate speaks, and is listened to."""
    run.report.step(f"gate: {run.settings.gate_syntheses} sentences spoken by the candidate")
    run.candidate.set_cpu_weight(SERVING_WEIGHT)
    rate = run.candidate.status().sample_rate
    results = []
    for text in gate.sentences(run.settings.gate_syntheses):
        began = run.clock.now()
        answer = run.candidate.speak(text, run.settings.gate_timeout_s)
        took_s = run.clock.now() - began
        result = gate.judge(text, answer.exit_code, answer.stdout, answer.error, took_s=took_s, sample_rate=rate)
        results.append(result)
        run.report.note(str(result))
    faults = [f"“{result.text}”: {fault}" for result in results for fault in result.faults]
    if faults:
        raise GateRefusedError(
            f"the candidate {run.release} spoke, and it did not pass:\n  " + "\n  ".join(faults),
            remedy="listen to it with `python -m service.probe speak` in its image; live traffic was not touched",
        )
    return {"gate": [result.facts() for result in results]}


def discard(run: Run, error: BaseException | None = None) -> None:
    """Out of rotation and gone; its last words go with `error`."""
    run.target.proxy.set_admin(run.idle.server, "maint")
    logs = run.candidate.remove()
    if isinstance(error, LineError) and logs and not error.detail:
        error.detail = logs
