"""Drain a colour that is out of rotation: each request class has its own time limit and is aborted after it."""

from __future__ import annotations

from dataclasses import dataclass

from build.cutover.rules import drain
from build.cutover.rules.drain import Ended
from build.cutover.run import JournalFacts, Run
from build.model.colours import Colour
from build.target import in_flight
from build.target.container import Replica
from build.target.in_flight import Counts, Load

ABORT_TIMEOUT_S = 10
ATTEMPTS = 3
ABORT_GRACE_S = 10  # after the longest budget; then the remaining connections are closed


class Tally:
    """Count the outcomes of a colour's requests from now on, as reported by the service in each container."""

    def __init__(self, run: Run, colour: Colour) -> None:
        self._run = run
        self._servers = (*colour.servers, *colour.standbys)
        self._replicas = [replica for replica in run.colours[colour].replicas if replica.running]
        self._before = [_classes(replica) for replica in self._replicas]
        self._now = list(self._before)

    @property
    def has_classes(self) -> bool:
        """False for a release that predates request classes."""
        return bool(self._before) and all(self._before)

    def abort(self, requests: str) -> None:
        """Make the services abort a request class (service.control cut); the next read shows the result."""
        if self.has_classes:
            for replica in self._replicas:
                replica.control(f"cut {requests}", ABORT_TIMEOUT_S)

    def read(self) -> tuple[Counts, int]:
        """Return requests in flight by class (if every service answers) and the number that a stop would lose."""
        proxy = self._run.proxy.servers()
        servers = [proxy[name] for name in self._servers]
        statuses = [replica.status() for replica in self._replicas]
        self._now = [status.classes or known for status, known in zip(statuses, self._now, strict=True)]
        requests = [status.requests for status in statuses if status.requests is not None]
        load = Load(
            sessions=sum(server.sessions for server in servers),
            queued=sum(server.queued for server in servers),
            requests=sum(requests) if requests else None,
            streams=sum(status.streams for status in statuses),
            jobs=sum(status.jobs for status in statuses),
        )
        answered = all(status.classes for status in statuses)
        return in_flight.together(status.classes for status in statuses) if answered else {}, load.work

    def ended(self) -> Ended:
        """Return the outcomes up to the last read."""
        return drain.summed(drain.ended(*pair) for pair in zip(self._before, self._now, strict=True))


def _classes(container: Replica) -> Counts:
    """Return the counts by class; retry, since a busy service must not be taken for one without classes."""
    statuses = (container.status() for _ in range(ATTEMPTS))
    return next((status.classes for status in statuses if status.phase), {})


@dataclass(frozen=True)
class DrainResult:
    """Outcomes of a drained colour; `ended` is empty for a release without request classes.

    `remaining`: requests that end when their connections are closed. `died`: the colour failed its health checks.
    """

    took_s: float
    ended: Ended
    remaining: int
    died: bool

    def facts(self) -> JournalFacts:
        """Return the facts for the journal; it is written after the connections are closed."""
        return {"drain_s": round(self.took_s, 2), "drain": drain.with_remaining(self.ended, self.remaining)}


def empty(run: Run, colour: Colour, *, alive: bool = False) -> DrainResult:
    """Wait until each request class of a colour is done or out of time; then abort the rest of that class.

    Web tabs stick to the colour by a cookie. It serves them while it drains; they move when it is in maint.

    Args:
        alive: stop waiting when a health check fails.
    """
    run.progress.step(f"draining {colour}")
    began = run.clock.now()
    tally = Tally(run, colour)
    remaining = _by_class(run, colour, tally, alive) if tally.has_classes else _as_one(run, colour, alive)
    died = alive and _died(run, colour)
    # The proxy retries on the other colour the requests that a dying one has not begun to answer.
    drained = DrainResult(run.clock.now() - began, tally.ended(), 0 if died else remaining, died)
    if tally.has_classes or remaining:
        run.progress.note(f"{colour}: {drain.describe(drained.facts()['drain'])}")
    return drained


def _died(run: Run, colour: Colour) -> bool:
    # HAProxy runs no health checks in maint.
    return any(server.admin != "maint" and not server.healthy for server in run.servers(colour))


def _by_class(run: Run, colour: Colour, tally: Tally, alive: bool) -> int:
    """Drain by request class; return the number of requests that could not be aborted."""
    began, moved, unanswered = run.clock.now(), False, 0
    tally.abort("batch --waiting")
    for now in run.clock.polls():
        budgets, waited_s = run.drain_budgets, now - began
        counts, work = tally.read()
        if alive and _died(run, colour):
            return work
        unanswered = 0 if counts else unanswered + 1
        late = drain.overdue(counts, waited_s, budgets)
        if moved:
            # If the service stopped answering, the proxy's count decides.
            done = work <= 0 and not any(count.in_flight for count in counts.values()) and unanswered in {0, ATTEMPTS}
            if done or waited_s > max(budgets.values()) + ABORT_GRACE_S:
                return work
            late += [in_flight.STREAM] if drain.tabs_idle(counts) else []
        elif late or drain.tabs_may_move(counts, waited_s, budgets):
            # Before aborting anything: a client that is asked to retry must not come back to this colour.
            run.rotate((run.server_names(colour), "maint"))
            moved = True
        for kind in late:
            tally.abort(kind)
    raise AssertionError("a clock never ends")


def _as_one(run: Run, colour: Colour, alive: bool) -> int:
    """Drain a release without request classes within the longest budget; return the number of remaining requests."""
    half_s = max(run.settings.drain_budgets.values()) / 2
    if alive:
        return run.await_empty(colour, 2 * half_s, alive=True)
    run.await_empty(colour, half_s)
    run.rotate((run.server_names(colour), "maint"))
    return run.await_empty(colour, half_s)
