"""The cutover: bring a release up in the idle colour, have it speak, move the traffic, let the old colour finish."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from build.decisions import drain, gate
from build.decisions.colours import Colour, Stack
from build.decisions.drain import Drained
from build.decisions.history import Event, Release, in_progress
from build.decisions.machine import ENDS, Remedy, State, Step, next_step
from build.decisions.warmup import Look, Outcome, Warmup
from build.errors import (
    CandidateExitedError,
    CandidateStalledError,
    DrainError,
    GateRefusedError,
    LineError,
    PreflightError,
    ProxyError,
)
from build.procedures.report import Report
from build.procedures.target import Target

PROXY_NOTICES_S = 15
STOP_GRACE_S = 150
# A candidate imports and loads beside live traffic: it gets what that leaves, until it can speak.
CANDIDATE_WEIGHT, SERVING_WEIGHT = 64, 1024


class Switch:
    """One cutover to one release; `run` is the story, the methods named after the machine's steps are its chapters."""

    def __init__(self, target: Target, report: Report, release: Release, *, kind: str, identity: str = "") -> None:
        self._target = target
        self._settings = target.settings
        self._report = report
        self._clock = target.clock
        self._release = release
        self._kind = kind
        self._id = identity or secrets.token_hex(4)

    def run(self) -> None:
        """Makes the release live, or leaves everything as it was and says why."""
        target = self._target
        with target.lock.held(target.proxy_image, f"{self._kind} to {self._release}"):
            self._settle()
            stack = target.survey()
            live = target.live(stack)
            self._take_places(live.other if live else Colour.BLUE, live)
            self._begin(stack)
            self._walk(State.PULLED)

    def _settle(self) -> None:
        """Ends what a killed cutover left: traffic that had begun to move is moved, an unproven candidate is given up.

        The candidate of the latter is out of rotation and makes way when this cutover starts its own.
        """
        left = in_progress(self._target.history())
        if left is None:
            return
        if left.state is State.SWITCHED or left.step == "switch":
            self._report.step(f"finishing the {left.kind} to {left.release}, which was cut off at {left.step}")
            unfinished = Switch(self._target, self._report, left.release, kind=left.kind, identity=left.id)
            colour = Colour(left.colour)
            unfinished._take_places(colour, colour.other if left.previous else None)
            unfinished._walk(left.state)
        else:
            self._report.note(f"the {left.kind} to {left.release} was cut off at {left.step or left.state}; given up")
            self._target.journal.append(cutover=left.id, event=Event.END, state=State.FAILED)

    def _take_places(self, idle: Colour, live: Colour | None) -> None:
        self._idle, self._live = idle, live
        self._candidate = self._target.colours[idle]

    def _walk(self, state: State) -> None:
        """Step by step through the machine; intent before each act, outcome after."""
        while step := next_step(state):
            self._journal(Event.INTENT, step=step.name)
            try:
                facts = self._act(step)()
            except BaseException as error:
                self._recover(step, error)
                raise
            state = step.ends
            self._journal(Event.DONE, step=step.name, state=state, facts=facts or {})
        self._journal(Event.END, state=state)

    def _act(self, step: Step) -> Callable[[], dict[str, Any] | None]:
        act: Callable[[], dict[str, Any] | None] = getattr(self, f"_{step.name}")
        return act

    def _begin(self, stack: Stack) -> None:
        previous = stack[self._live].release if self._live else None
        self._journal(
            Event.BEGIN,
            kind=self._kind,
            release=asdict(self._release),
            colour=self._idle,
            previous=asdict(previous) if previous else None,
        )

    # The steps, in order.

    def _preflight(self) -> None:
        target = self._target
        servers = target.proxy.servers()
        if self._idle.server not in servers:
            raise PreflightError(
                f"the proxy knows no server {self._idle.server}",
                remedy="it runs a foreign haproxy.cfg: make down && make up",
            )
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
        self._candidate.remove()
        self._target.compose.up(self._idle.service)
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
        self._report.step(f"gate: {self._settings.gate_syntheses} sentences spoken by the candidate")
        self._candidate.set_cpu_weight(SERVING_WEIGHT)
        results = []
        for text in gate.sentences(self._settings.gate_syntheses):
            began = self._clock.now()
            answer = self._candidate.speak(text)
            result = gate.judge(text, answer.exit_code, answer.stdout, answer.error, self._clock.now() - began)
            results.append(result)
            self._report.note(str(result))
        faults = [f"“{result.text}”: {fault}" for result in results for fault in result.faults]
        if faults:
            raise GateRefusedError(
                f"the candidate {self._release} spoke, and it did not pass:\n  " + "\n  ".join(faults),
                remedy="listen to it with `python -m service.probe speak` in its image; live traffic was not touched",
            )
        return {"gate": [result.facts() for result in results]}

    def _switch(self) -> None:
        proxy, candidate, live = self._target.proxy, self._idle.server, self._live
        self._report.step(f"traffic: {live or 'nothing'} -> {self._idle}")
        proxy.set_admin(candidate, "ready")
        self._until_usable(candidate)
        if live:
            proxy.set_admin(live.server, "drain")
        self._target.refresh_env(self._idle)

    def _until_usable(self, server: str) -> None:
        """Waits until the proxy itself has seen the server healthy: it starts as up before its first check."""
        began = self._clock.now()
        for now in self._clock.polls(0.05):
            seen = self._target.proxy.servers()[server]
            if seen.usable and seen.check.startswith("L7OK"):
                return
            if now - began > PROXY_NOTICES_S:
                raise ProxyError(f"the proxy does not see {server} healthy (last check: {seen.check or 'none'})")

    def _retire(self) -> dict[str, Any]:
        if not self._live:
            return {}
        old, proxy = self._target.colours[self._live], self._target.proxy
        self._report.step(f"draining {self._live}")
        began = self._clock.now()
        for now in self._clock.polls():
            seen = proxy.servers()[self._live.server]
            load = old.load(seen.sessions, seen.queued)
            verdict = drain.judge(load, now - began, self._settings.drain_timeout_s)
            if verdict is Drained.OVER_BUDGET:
                raise DrainError(
                    f"{self._live} still has {load.work} requests after {now - began:.0f} s; "
                    f"{self._release} is live in {self._idle} and gets all new ones",
                    remedy=f"wait and `docker stop` {old.name}, or raise drain_timeout_s",
                )
            if verdict is Drained.EMPTY:
                break
        # Clients that a cookie binds would still be served in drain; maint sends them on.
        proxy.set_admin(self._live.server, "maint")
        proxy.shutdown_sessions(self._live.server)
        old.stop(STOP_GRACE_S)
        return {"drain_s": round(self._clock.now() - began, 2)}

    # What a failure calls for.

    def _recover(self, step: Step, error: BaseException) -> None:
        """Undoes what the machine says must be undone, and journals how it ended."""
        logs = ""
        if step.on_failure is Remedy.RETURN and self._live:
            self._target.proxy.set_admin(self._live.server, "ready")
        if step.on_failure in {Remedy.RETURN, Remedy.DISCARD}:
            self._target.proxy.set_admin(self._idle.server, "maint")
            logs = self._candidate.remove()
        if isinstance(error, LineError) and logs and not error.detail:
            error.detail = logs
        if step.on_failure is not Remedy.KEEP:
            self._target.refresh_env(self._live)
        self._journal(Event.FAILED, step=step.name, error=str(error) or type(error).__name__)
        self._journal(Event.END, state=ENDS[step.on_failure])

    def _journal(self, event: Event, **facts: Any) -> None:
        self._target.journal.append(cutover=self._id, event=event, **facts)
