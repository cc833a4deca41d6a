"""A colour out of rotation gets empty: each class of requests in its own time, and what is then left of it is cut."""

from __future__ import annotations

from dataclasses import dataclass

from build.decisions import drain
from build.decisions.colours import Colour
from build.decisions.drain import Counts, Ended
from build.drivers.colour import ColourContainer
from build.procedures.steps.run import Facts, Run

CUT_TIMEOUT_S = 10
ATTEMPTS = 3
CUT_GRACE_S = 10  # after the longest budget; what still is there then ends with its connection


class Tally:
    """Counts what becomes of a colour's requests from now on, by the word of the service in each of its containers."""

    def __init__(self, run: Run, colour: Colour) -> None:
        self._run = run
        self._homes = [((colour.server, colour.standby), run.target.colours[colour])]
        self._before = [_classes(container) for _, container in self._homes]
        self._now = list(self._before)

    @property
    def tells(self) -> bool:
        """False for a release from before there were classes."""
        return all(self._before)

    def cut(self, what: str) -> None:
        """Has a class cut (service.control cut); whether it is gone then, the next look tells."""
        if self.tells:
            for _, container in self._homes:
                container.tell(f"cut {what}", CUT_TIMEOUT_S)

    def look(self) -> tuple[Counts, int]:
        """What is in flight by class, where a service answers, and all that would be lost if the colour stopped now."""
        seen = self._run.target.proxy.servers()
        answered: list[Counts] = []
        work = 0
        for number, (names, container) in enumerate(self._homes):
            servers, status = [seen[name] for name in names], container.status()
            answered.append(status.classes)
            work += status.load(sum(each.sessions for each in servers), sum(each.queued for each in servers)).work
            self._now[number] = status.classes or self._now[number]
        return drain.together(answered), work

    def ended(self) -> Ended:
        """What has ended until the last look."""
        return drain.summed(drain.ended(*pair) for pair in zip(self._before, self._now, strict=True))


def _classes(container: ColourContainer) -> Counts:
    """What it tells; one that is too busy to answer at once must not be taken for one that cannot tell."""
    said = (container.status() for _ in range(ATTEMPTS))
    return next((status.classes for status in said if status.phase), {})


@dataclass(frozen=True)
class Drained:
    """What became of a colour's requests; `ended` is empty for a release that cannot tell classes.

    `left` are those still on it, which end when their connections are closed.
    """

    took_s: float
    ended: Ended
    left: int

    def facts(self) -> Facts:
        """For the journal, written when the connections have been closed."""
        return {"drain_s": round(self.took_s, 2), "drain": drain.with_left(self.ended, self.left)}


def empty(run: Run, colour: Colour) -> Drained:
    """Waits until each class on a colour is done or its budget is spent, and cuts what is left of that class.

    Web tabs, which a cookie binds, go on being served while the colour drains, and move on when it is in maint.
    """
    run.report.step(f"draining {colour}")
    began = run.clock.now()
    tally = Tally(run, colour)
    left = _by_class(run, colour, tally) if tally.tells else _as_one(run, colour)
    drained = Drained(run.clock.now() - began, tally.ended(), left)
    if tally.tells or left:
        run.report.note(f"{colour}: {drain.told(drained.facts()['drain'])}")
    return drained


def _by_class(run: Run, colour: Colour, tally: Tally) -> int:
    """Returns what nobody could be told to cut."""
    budgets, began, moved, silent = run.settings.drain_budgets, run.clock.now(), False, 0
    tally.cut("batch --waiting")
    for now in run.clock.polls():
        waited_s = now - began
        counts, work = tally.look()
        silent = 0 if counts else silent + 1
        late = drain.overdue(counts, waited_s, budgets)
        if moved:
            # A service that has gone leaves it to the proxy's count.
            done = work <= 0 and not any(count.in_flight for count in counts.values()) and silent in {0, ATTEMPTS}
            if done or waited_s > max(budgets.values()) + CUT_GRACE_S:
                return work
            late += [drain.STREAM] if drain.tabs_idle(counts) else []
        elif late or drain.tabs_may_move(counts, waited_s, budgets):
            # Before anything is cut: what is told to ask again must not be led back here.
            run.target.proxy.set_admin(colour.server, "maint")
            moved = True
        for kind in late:
            tally.cut(kind)
    raise AssertionError("a clock never ends")


def _as_one(run: Run, colour: Colour) -> int:
    """All requests of a release that cannot tell classes, within the longest budget; returns how many are left."""
    half_s = max(run.settings.drain_budgets.values()) / 2
    run.until_empty(colour, half_s)
    run.target.proxy.set_admin(colour.server, "maint")
    return run.until_empty(colour, half_s)
