"""A colour out of rotation gets empty: each class of requests in its own time, and what is then left of it is cut."""

from __future__ import annotations

from dataclasses import dataclass

from build.cutover.rules import drain
from build.cutover.rules.drain import Ended
from build.cutover.run import Facts, Run
from build.model.colours import Colour
from build.target import in_flight
from build.target.container import Replica
from build.target.in_flight import Counts, Load

CUT_TIMEOUT_S = 10
ATTEMPTS = 3
CUT_GRACE_S = 10  # after the longest budget; what still is there then ends with its connection


class Tally:
    """Counts what becomes of a colour's requests from now on, by the word of the service in each of its containers."""

    def __init__(self, run: Run, colour: Colour) -> None:
        self._run = run
        self._servers = (*colour.servers, *colour.standbys)
        self._replicas = [each for each in run.target.colours[colour].replicas if each.running]
        self._before = [_classes(each) for each in self._replicas]
        self._now = list(self._before)

    @property
    def tells(self) -> bool:
        """False for a release from before there were classes."""
        return bool(self._before) and all(self._before)

    def cut(self, what: str) -> None:
        """Has a class cut (service.control cut); whether it is gone then, the next look tells."""
        if self.tells:
            for each in self._replicas:
                each.tell(f"cut {what}", CUT_TIMEOUT_S)

    def look(self) -> tuple[Counts, int]:
        """What is in flight by class, where a service answers, and all that would be lost if the colour stopped now."""
        proxy = self._run.target.proxy.servers()
        servers = [proxy[name] for name in self._servers]
        said = [each.status() for each in self._replicas]
        self._now = [status.classes or known for status, known in zip(said, self._now, strict=True)]
        told = [status.requests for status in said if status.requests is not None]
        load = Load(
            sessions=sum(each.sessions for each in servers),
            queued=sum(each.queued for each in servers),
            requests=sum(told) if told else None,
            streams=sum(status.streams for status in said),
            jobs=sum(status.jobs for status in said),
        )
        answered = all(status.classes for status in said)
        return in_flight.together(status.classes for status in said) if answered else {}, load.work

    def ended(self) -> Ended:
        """What has ended until the last look."""
        return drain.summed(drain.ended(*pair) for pair in zip(self._before, self._now, strict=True))


def _classes(container: Replica) -> Counts:
    """What it tells; one that is too busy to answer at once must not be taken for one that cannot tell."""
    said = (container.status() for _ in range(ATTEMPTS))
    return next((status.classes for status in said if status.phase), {})


@dataclass(frozen=True)
class Drained:
    """What became of a colour's requests; `ended` is empty for a release that cannot tell classes.

    `left` are those still on it, which end when their connections are closed; `died`: it failed its health checks.
    """

    took_s: float
    ended: Ended
    left: int
    died: bool

    def facts(self) -> Facts:
        """For the journal, written when the connections have been closed."""
        return {"drain_s": round(self.took_s, 2), "drain": drain.with_left(self.ended, self.left)}


def empty(run: Run, colour: Colour, *, alive: bool = False) -> Drained:
    """Waits until each class on a colour is done or its budget is spent, and cuts what is left of that class.

    Web tabs, which a cookie binds, go on being served while the colour drains, and move on when it is in maint.

    Args:
        alive: give it up at once when it fails a health check.
    """
    run.report.step(f"draining {colour}")
    began = run.clock.now()
    tally = Tally(run, colour)
    left = _by_class(run, colour, tally, alive) if tally.tells else _as_one(run, colour, alive)
    died = alive and _died(run, colour)
    # What one that dies has not begun to answer, the proxy asks the other one.
    drained = Drained(run.clock.now() - began, tally.ended(), 0 if died else left, died)
    if tally.tells or left:
        run.report.note(f"{colour}: {drain.told(drained.facts()['drain'])}")
    return drained


def _died(run: Run, colour: Colour) -> bool:
    # In maint its checks rest.
    return any(each.admin != "maint" and not each.healthy for each in run.seen(colour))


def _by_class(run: Run, colour: Colour, tally: Tally, alive: bool) -> int:
    """Returns what nobody could be told to cut."""
    budgets, began, moved, silent = run.settings.drain_budgets, run.clock.now(), False, 0
    tally.cut("batch --waiting")
    for now in run.clock.polls():
        waited_s = now - began
        counts, work = tally.look()
        if alive and _died(run, colour):
            return work
        silent = 0 if counts else silent + 1
        late = drain.overdue(counts, waited_s, budgets)
        if moved:
            # A service that has gone leaves it to the proxy's count.
            done = work <= 0 and not any(count.in_flight for count in counts.values()) and silent in {0, ATTEMPTS}
            if done or waited_s > max(budgets.values()) + CUT_GRACE_S:
                return work
            late += [in_flight.STREAM] if drain.tabs_idle(counts) else []
        elif late or drain.tabs_may_move(counts, waited_s, budgets):
            # Before anything is cut: what is told to ask again must not be led back here.
            run.rotate((run.used(colour), "maint"))
            moved = True
        for kind in late:
            tally.cut(kind)
    raise AssertionError("a clock never ends")


def _as_one(run: Run, colour: Colour, alive: bool) -> int:
    """All requests of a release that cannot tell classes, within the longest budget; returns how many are left."""
    half_s = max(run.settings.drain_budgets.values()) / 2
    if alive:
        return run.until_empty(colour, 2 * half_s, alive=True)
    run.until_empty(colour, half_s)
    run.rotate((run.used(colour), "maint"))
    return run.until_empty(colour, half_s)
