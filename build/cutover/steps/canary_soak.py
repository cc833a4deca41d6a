"""Canary and soak: the candidate gets growing shares of the traffic, then all of it with the old colour as backup."""

from __future__ import annotations

from build.cutover.rules import canary as rules
from build.cutover.rules.canary import CanaryOutcome, Window
from build.cutover.run import JournalFacts, Run
from build.cutover.steps import traffic
from build.cutover.steps.observer import Observer
from build.errors import CanaryFailedError, InconclusiveError, OrchestratorError
from build.model.colours import Colour
from build.model.rollout import weights
from build.state.history import Event

SAMPLE_S = 1.0
CHECK_S = 0.25
# A failed measurement says nothing about the candidate, so a few in a row are tolerated.
MOST_FAILED_SAMPLES = 5


def canary(run: Run) -> JournalFacts | None:
    """Give the candidate one share after the other, each until its verdict; a resumed canary skips passed shares."""
    traffic.require_alive(run)  # resumed: an undo that was killed may have removed it
    passed = {share["share"] for share in run.journaled.facts.get("canary", [])}
    for share in run.rollout.canary:
        if share not in passed:
            run.journal(Event.SHARE, facts={"share": share, **_run_share(run, share)})
    return None


def _run_share(run: Run, share: int) -> JournalFacts:
    live = _live(run)
    run.progress.step(f"canary: {share} % to {run.idle}")
    candidates, lives = run.server_names(run.idle), run.server_names(live)
    weight, live_weight = weights(share, len(candidates), len(lives))
    run.rotate((lives, live_weight), (candidates, weight), (candidates, "ready"))
    observer, compared = Observer(run), rules.comparable(busier=weight > live_weight)
    began, failed_samples, reason = run.clock.now(), 0, ""
    for now in run.clock.polls(SAMPLE_S):
        _refuse_if_down(run, observer)
        try:
            observer.speak_if_quiet(live, run.idle)
            windows = observer.sample()
            failed_samples = 0
        except OrchestratorError as error:
            failed_samples, reason = failed_samples + 1, f"the measurement failed: {error.message}"
        else:
            verdict = rules.judge(
                windows[run.idle], windows[live], run.settings.canary_samples, run.settings.canary_slower, compared
            )
            reason = verdict.reason
            if verdict.outcome is CanaryOutcome.FAIL:
                measured = {"share": share, **_facts(run, windows, live)}
                raise _worse(f"at {share} % of the", "failed_share", measured, run, reason)
            if verdict.outcome is CanaryOutcome.PASS:
                run.progress.note(f"passed at {observer.share:.0%} of the clients' traffic: {reason}")
                return {
                    "took_s": round(now - began, 2),
                    "observed": round(observer.share, 3),
                    **_facts(run, windows, live),
                }
        if failed_samples > MOST_FAILED_SAMPLES or now - began > run.settings.canary_timeout_s:
            raise InconclusiveError(
                f"the canary at {share} % has no result after {now - began:.0f} s: {reason}",
                remedy="the canary is paused: continue with `python -m build.cutover resume` or roll back with `abort`",
            )
    raise AssertionError("a clock never ends")


REMEDY = "the old release has all the traffic again; see `python -m build.cutover report`"


def _live(run: Run) -> Colour:
    if run.live is None:
        raise AssertionError("a table without an old colour has no such step")
    return run.live


def _facts(run: Run, windows: dict[Colour, Window], live: Colour) -> JournalFacts:
    return {"candidate": windows[run.idle].facts(), "live": windows[live].facts()}


def _worse(at: str, fact: str, measured: JournalFacts, run: Run, reason: str) -> CanaryFailedError:
    """Return the error of a worse candidate; the journal keeps what was measured under the name `fact`."""
    return CanaryFailedError(f"{run.release} is worse {at} traffic: {reason}", remedy=REMEDY, facts={fact: measured})


def _refuse_if_down(run: Run, observer: Observer) -> None:
    """Fail on the first failed health check: the live release can serve, so there is no reason to wait."""
    if reason := observer.down():
        raise CanaryFailedError(f"{run.release} is down: {reason}", remedy=REMEDY)


def soak(run: Run) -> JournalFacts:
    """Watch the candidate with all the traffic, compared with the old colour's requests before the switch."""
    live, settings = _live(run), run.settings
    run.progress.step(f"soaking for {run.rollout.soak_s:.0f} s: {live} takes over if {run.idle} fails")
    run.refresh_env(run.idle)
    observer = Observer(run, before_s=max(run.rollout.soak_s, 60))
    began = sampled = run.clock.now()
    windows: dict[Colour, Window] = {}
    for now in run.clock.polls(CHECK_S):
        _refuse_if_down(run, observer)
        if now - sampled < SAMPLE_S and now - began < run.rollout.soak_s:
            continue
        sampled = now
        try:
            observer.speak_if_quiet(run.idle)
            windows = observer.sample()
        except OrchestratorError as error:
            run.progress.note(f"a measurement failed: {error.message}")
        else:
            verdict = rules.judge_soak(
                windows[run.idle], windows[live], settings.canary_samples, settings.canary_slower
            )
            # The two windows cover different times, so the machine itself may have become slower.
            if verdict.outcome is CanaryOutcome.FAIL and (not verdict.slow or observer.slower(live)):
                facts = {"took_s": round(now - began, 2), **_facts(run, windows, live)}
                raise _worse("with all the", "soak", facts, run, verdict.reason)
        # A candidate that has just begun to hang has not failed yet: wait for the result of its pending health check.
        if now - began >= run.rollout.soak_s and observer.answers:
            break
    return {"soak": {"took_s": run.rollout.soak_s, **(_facts(run, windows, live) if windows else {})}}
