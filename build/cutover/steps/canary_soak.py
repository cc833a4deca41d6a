"""Canary and soak: the candidate gets growing shares of the traffic, then all of it with the old colour as backup."""

from __future__ import annotations

from build.cutover.rules import canary as rules
from build.cutover.rules.canary import CanaryOutcome, Window
from build.cutover.run import JournalFacts, Run
from build.cutover.steps.observer import Observer
from build.errors import CanaryFailedError, InconclusiveError, OrchestratorError
from build.model.colours import Colour
from build.model.rollout import weights
from build.state.history import Event

LOOK_S = 1.0
WATCH_S = 0.25
# A failed measurement says nothing about the candidate, so a few in a row are tolerated.
BLIND_LOOKS = 5


def canary(run: Run) -> JournalFacts | None:
    """Give the candidate one share after the other, each until its verdict; a resumed canary skips passed shares."""
    passed = {share["share"] for share in run.told.facts.get("canary", [])}
    for share in run.rollout.canary:
        if share not in passed:
            run.journal(Event.SHARE, facts={"share": share, **_at(run, share)})
    return None


def _at(run: Run, share: int) -> JournalFacts:
    live = _live(run)
    run.progress.step(f"canary: {share} % to {run.idle}")
    candidates, lives = run.used(run.idle), run.used(live)
    mine, its = weights(share, len(candidates), len(lives))
    run.rotate((lives, its), (candidates, mine), (candidates, "ready"))
    observer = Observer(run)
    began, blind, reason = run.clock.now(), 0, ""
    for now in run.clock.polls(LOOK_S):
        _refuse_if_down(run, observer)
        try:
            observer.speak_if_quiet(live, run.idle)
            seen = observer.look()
            blind = 0
        except OrchestratorError as error:
            blind, reason = blind + 1, f"cannot be measured: {error.message}"
        else:
            verdict = rules.judge(seen[run.idle], seen[live], run.settings.canary_samples, run.settings.canary_slower)
            reason = verdict.reason
            if verdict.outcome is CanaryOutcome.FAIL:
                raise CanaryFailedError(f"at {share} % of the traffic {run.release} is worse: {reason}", remedy=SEE)
            if verdict.outcome is CanaryOutcome.PASS:
                run.progress.note(f"passed at {observer.share:.0%} of the clients' traffic: {reason}")
                return {"took_s": round(now - began, 2), "observed": round(observer.share, 3), **_told(run, seen, live)}
        if blind > BLIND_LOOKS or now - began > run.settings.canary_timeout_s:
            raise InconclusiveError(
                f"the canary at {share} % has no result after {now - began:.0f} s: {reason}",
                remedy="it stays as it is: `build.cutover resume` goes on with it, `build.cutover abort` undoes it",
            )
    raise AssertionError("a clock never ends")


SEE = "the old release has all traffic again; `build.cutover report` shows what clients got"


def _live(run: Run) -> Colour:
    if run.live is None:
        raise AssertionError("a table without an old colour has no such step")
    return run.live


def _told(run: Run, seen: dict[Colour, Window], live: Colour) -> JournalFacts:
    return {"candidate": seen[run.idle].facts(), "live": seen[live].facts()}


def _refuse_if_down(run: Run, observer: Observer) -> None:
    """Fail on the first failed health check: the live release can serve, so there is no reason to wait."""
    if why := observer.down():
        raise CanaryFailedError(f"{run.release} serves no more: {why}", remedy=SEE)


def soak(run: Run) -> JournalFacts:
    """Watch the candidate with all the traffic, compared with the old colour's requests before the switch."""
    live, settings = _live(run), run.settings
    run.progress.step(f"soaking for {run.rollout.soak_s:.0f} s; {live} takes over if {run.idle} fails")
    run.target.refresh_env(run.idle)
    observer = Observer(run, before_s=max(run.rollout.soak_s, 60))
    began = looked = run.clock.now()
    seen: dict[Colour, Window] = {}
    for now in run.clock.polls(WATCH_S):
        _refuse_if_down(run, observer)
        if now - looked < LOOK_S and now - began < run.rollout.soak_s:
            continue
        looked = now
        try:
            observer.speak_if_quiet(run.idle)
            seen = observer.look()
        except OrchestratorError as error:
            run.progress.note(f"one look failed: {error.message}")
        else:
            verdict = rules.judge(seen[run.idle], seen[live], settings.canary_samples, settings.canary_slower)
            # The two windows cover different times, so the machine itself may have become slower.
            if verdict.outcome is CanaryOutcome.FAIL and (not verdict.late or observer.slower(live)):
                raise CanaryFailedError(f"with all the traffic {run.release} is worse: {verdict.reason}", remedy=SEE)
        # A candidate that has just begun to hang has not failed yet: wait for the result of its pending health check.
        if now - began >= run.rollout.soak_s and observer.answers:
            break
    return {"soak": {"took_s": run.rollout.soak_s, **(_told(run, seen, live) if seen else {})}}
