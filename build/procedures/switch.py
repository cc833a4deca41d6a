"""One switch: bring a release up in the idle colour, have it speak, move the traffic, let the old colour finish."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from build.decisions import drain
from build.decisions.colours import Colour, Stack
from build.decisions.drain import Drained
from build.decisions.history import Event, Release
from build.decisions.machine import ENDS, Remedy, State, Step, next_step
from build.decisions.warmup import Look, Outcome, Warmup
from build.errors import (
    CandidateExitedError,
    CandidateStalledError,
    CommandFailedError,
    DrainError,
    ImageNotFoundError,
    LineError,
    PreflightError,
    ProxyError,
)
from build.procedures import gate
from build.procedures.report import Report
from build.procedures.target import Target

PROXY_NOTICES_S = 15
STOP_GRACE_S = 150
# A candidate imports and loads beside live traffic: it gets what that leaves, until it can speak.
CANDIDATE_WEIGHT, SERVING_WEIGHT = 64, 1024


class Switch:
    """One cutover to one release; the methods named after the machine's steps are its chapters."""

    def __init__(
        self,
        target: Target,
        report: Report,
        release: Release,
        *,
        kind: str,
        idle: Colour,
        live: Colour | None,
        identity: str = "",
    ) -> None:
        self._target = target
        self._settings = target.settings
        self._report = report
        self._clock = target.clock
        self._release = release
        self._kind = kind
        self._id = identity or secrets.token_hex(4)
        self._idle, self._live = idle, live
        self._candidate = target.colours[idle]

    def begin(self, stack: Stack) -> None:
        """Journals what this cutover is about to do."""
        previous = stack[self._live].release if self._live else None
        self._journal(
            Event.BEGIN,
            kind=self._kind,
            release=asdict(self._release),
            colour=self._idle,
            previous=asdict(previous) if previous else None,
        )

    def walk(self, state: State) -> None:
        """Step by step through the machine from `state`; intent before each act, outcome after."""
        while step := next_step(state):
            try:
                self._journal(Event.INTENT, step=step.name)
                facts = self._act(step)()
                self._journal(Event.DONE, step=step.name, state=step.ends, facts=facts or {})
            except BaseException as error:
                self._recover(step, error)
                raise
            state = step.ends
        self._journal(Event.END, state=state)

    def _act(self, step: Step) -> Callable[[], dict[str, Any] | None]:
        act: Callable[[], dict[str, Any] | None] = getattr(self, f"_{step.name}")
        return act

    # The steps, in order.

    def _preflight(self) -> None:
        target, servers = self._target, self._target.proxy.servers()
        if target.engine.image(self._release.image) is None:
            raise ImageNotFoundError(
                f"the image of {self._release} is not on the engine any more ({self._release.image})",
                remedy="pull it, or build it from its commit and name it",
            )
        if self._idle.server not in servers:
            raise PreflightError(f"the proxy knows no server {self._idle.server}", remedy="`make down`, then `make up`")
        idle = servers[self._idle.server]
        unfinished = self._candidate.load(idle.sessions, idle.queued).work if idle.sessions else 0
        if unfinished:
            raise PreflightError(
                f"{self._idle} still finishes {unfinished} requests of an earlier cutover",
                remedy="wait until `build.cutover status` shows none in flight there",
            )
        if self._live and not servers[self._live.server].usable:
            self._report.note(f"{self._live} is live but the proxy's checks fail on it; the candidate is its way out")
        target.refresh_env(self._live, **{self._idle.value: self._release.image})
        target.compose.check()

    def _start(self) -> None:
        self._report.step(f"starting {self._release} in {self._idle}")
        # Out of rotation before it exists: whatever an earlier run left, it gets no request until it is verified.
        self._target.proxy.set_admin(self._idle.server, "maint")
        self._candidate.stop(STOP_GRACE_S)
        self._candidate.remove()
        self._target.refresh_env(self._live, **{self._idle.value: self._release.image})
        self._target.compose.up(self._idle.service)
        started = self._candidate.release()
        if started != self._release:
            raise CommandFailedError(
                f"Compose started {started} in {self._idle}, not {self._release}: .env was changed meanwhile",
                remedy="let nothing else run `docker compose` or write .env during a cutover; then switch again",
            )
        self._candidate.set_cpu_weight(CANDIDATE_WEIGHT)

    def _warm(self) -> dict[str, Any]:
        settings, began = self._settings, self._clock.now()
        warmup = Warmup(settings.stall_timeout_s, settings.start_timeout_s, began)
        seen = ""
        for now in self._clock.polls():
            look = self._candidate.look(now)
            outcome = warmup.judge(look)
            if look.phase and look.phase != seen:
                seen = look.phase
                self._report.note(f"{now - began:5.1f} s  {seen}")
            if outcome is Outcome.READY:
                return {"warm_s": round(now - began, 2)}
            if outcome is not Outcome.WAIT:
                raise self._not_warm(outcome, look, now - began)
        raise AssertionError("a clock never ends")

    def _not_warm(self, outcome: Outcome, look: Look, after_s: float) -> LineError:
        if outcome is Outcome.EXITED:
            why = look.error or (f"exit code {look.exit_code}" if look.exit_code is not None else "it was removed")
            return CandidateExitedError(
                f"the candidate {self._release} stopped by itself {after_s:.1f} s after its start: {why}",
                remedy="its log above says why; live traffic was not touched",
            )
        where = f"it is {look.phase or 'silent on its control socket'}" + (f" ({look.error})" if look.error else "")
        limit = (
            f"no progress for {self._settings.stall_timeout_s:.0f} s"
            if outcome is Outcome.STALLED
            else f"not ready within {self._settings.start_timeout_s:.0f} s"
        )
        return CandidateStalledError(
            f"the candidate {self._release} never got ready: {limit}; {where}",
            remedy="its log above may say why; stall_timeout_s and start_timeout_s set the patience",
        )

    def _verify(self) -> dict[str, Any]:
        self._candidate.set_cpu_weight(SERVING_WEIGHT)
        live = self._target.colours[self._live] if self._live else None
        keep = self._settings.root / "out/cutovers" / self._id
        judged = gate.run(self._candidate, live, self._settings, self._clock, self._report, keep)
        return {"gate": judged.facts()}

    def _switch(self) -> None:
        proxy = self._target.proxy
        self._report.step(f"traffic: {self._live or 'nothing'} -> {self._idle}")
        proxy.demand_check(self._idle.server)
        self._until_seen_healthy()
        proxy.set_admin(self._idle.server, "ready")
        proxy.set_admin(self._idle.other.server, "drain" if self._live else "maint")

    def _until_seen_healthy(self) -> None:
        """Waits for a health check by the proxy itself: it reaches the candidate by another way than the gate did."""
        server, began = self._idle.server, self._clock.now()
        for now in self._clock.polls(0.05):
            seen = self._target.proxy.servers()[server]
            if seen.up:
                return
            if now - began > PROXY_NOTICES_S:
                raise ProxyError(
                    f"the proxy does not see {server} healthy (last check: {seen.check or 'none'})",
                    remedy="the candidate answers inside its container only: see what address it listens on",
                )

    def _retire(self) -> dict[str, Any]:
        self._target.refresh_env(self._idle)
        if not self._live:
            return {}
        old, proxy = self._live, self._target.proxy
        self._report.step(f"draining {old}")
        began, half_s = self._clock.now(), self._settings.drain_timeout_s / 2
        # Web tabs, which a cookie binds, go on being served in drain, and move on in maint.
        self._until_empty(old, half_s)
        proxy.set_admin(old.server, "maint")
        left = self._until_empty(old, half_s)
        if left:
            raise DrainError(
                f"{old} still has {left} requests after {self._clock.now() - began:.0f} s; "
                f"{self._release} is live in {self._idle} and gets all new ones",
                remedy=f"`docker stop` {self._target.colours[old].name} once they are done, or raise drain_timeout_s",
            )
        proxy.shutdown_sessions(old.server)
        self._target.colours[old].stop(STOP_GRACE_S)
        return {"drain_s": round(self._clock.now() - began, 2)}

    def _until_empty(self, colour: Colour, budget_s: float) -> int:
        """Waits for a colour that is out of rotation to finish; what is still on it when the budget is spent."""
        began = self._clock.now()
        for now in self._clock.polls():
            seen = self._target.proxy.servers()[colour.server]
            load = self._target.colours[colour].load(seen.sessions, seen.queued)
            verdict = drain.judge(load, now - began, budget_s)
            if verdict is not Drained.BUSY:
                return load.work
        raise AssertionError("a clock never ends")

    # What a failure calls for.

    def _recover(self, step: Step, error: BaseException) -> None:
        """Undoes what the machine says must be undone, one act after the other whatever becomes of each."""
        acts: list[Callable[[], object]] = []
        if step.on_failure is Remedy.RETURN:
            acts += [self._give_back, lambda: self._candidate.stop(STOP_GRACE_S)]
        if step.on_failure in {Remedy.RETURN, Remedy.DISCARD}:
            acts += [lambda: self._target.proxy.set_admin(self._idle.server, "maint"), lambda: self._discard(error)]
        if step.on_failure is not Remedy.KEEP:
            acts.append(lambda: self._target.refresh_env(self._live))
        said = str(error) or type(error).__name__
        acts += [
            lambda: self._journal(Event.FAILED, step=step.name, error=said),
            lambda: self._journal(Event.END, state=ENDS[step.on_failure]),
        ]
        for act in acts:
            try:
                act()
            except LineError as also:
                self._report.note(f"and while undoing it: {also.message}")

    def _give_back(self) -> None:
        """Traffic to the old colour again; what the candidate has begun it may finish."""
        if self._live:
            self._target.proxy.set_admin(self._live.server, "ready")
        self._target.proxy.set_admin(self._idle.server, "maint")
        self._until_empty(self._idle, self._settings.drain_timeout_s)

    def _discard(self, error: BaseException) -> None:
        logs = self._candidate.remove()
        if isinstance(error, LineError) and logs and not error.detail:
            error.detail = logs

    def _journal(self, event: Event, **facts: Any) -> None:
        self._target.journal.append(cutover=self._id, event=event, **facts)
