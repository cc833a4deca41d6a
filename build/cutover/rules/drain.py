"""Rules of the drain: whether a colour is empty, which request classes timed out, how requests ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto

from build.target.in_flight import OUTCOMES, STREAM, Count, Counts, Load

UNKNOWN = "unknown"  # requests that only the proxy counts, so of no known class
SHOWN_FIRST = ("short", "long", "batch", UNKNOWN)

# Number of ended requests by class and outcome: {"short": {"completed": 3, "cut": 0, "unfinished": 0}, ...}.
Ended = dict[str, dict[str, int]]


class DrainProgress(Enum):
    EMPTY = auto()
    BUSY = auto()
    OVER_BUDGET = auto()


def judge(load: Load, waited_s: float, budget_s: float) -> DrainProgress:
    """Return EMPTY when neither proxy nor service counts work; if the service is silent, the proxy's count decides."""
    if load.work <= 0:
        return DrainProgress.EMPTY
    return DrainProgress.OVER_BUDGET if waited_s > budget_s else DrainProgress.BUSY


def overdue(counts: Counts, waited_s: float, budgets: Mapping[str, float]) -> list[str]:
    """Return the unfinished classes past their budget; an unknown class has the longest budget."""
    most_s = max(budgets.values())
    return [
        kind for kind, count in counts.items() if count.in_flight > count.idle and waited_s > budgets.get(kind, most_s)
    ]


def tabs_idle(counts: Counts) -> bool:
    """Return whether web tabs hold event streams and none of them waits for a result."""
    streams = counts.get(STREAM, Count())
    return 0 < streams.in_flight <= streams.idle


def tabs_may_move(counts: Counts, waited_s: float, budgets: Mapping[str, float]) -> bool:
    """Return whether web tabs may move: none waits for a result here, or half of their budget is over."""
    streams = counts.get(STREAM)
    return (streams is not None and streams.in_flight <= streams.idle) or waited_s > budgets[STREAM] / 2


def ended(before: Counts, now: Counts) -> Ended:
    """Return the requests that ended between two status reads of a service; since its start if it restarted."""
    return {
        kind: {name: _since(before.get(kind, Count()), count, name) for name in OUTCOMES} for kind, count in now.items()
    }


def _since(before: Count, now: Count, name: str) -> int:
    earlier, later = getattr(before, name), getattr(now, name)
    return int(later - earlier if later >= earlier else later)


def summed(parts: Iterable[Ended]) -> Ended:
    """Sum the outcomes of several services or status reads."""
    total: Ended = {}
    for part in parts:
        for kind, found in part.items():
            known = total.get(kind, {})
            total[kind] = {name: known.get(name, 0) + found.get(name, 0) for name in OUTCOMES}
    return total


def with_remaining(outcome: Ended, remaining: int) -> Ended:
    """Add the requests that only the proxy still counted when it closed their connections."""
    return {**outcome, UNKNOWN: {"completed": 0, "cut": remaining, "unfinished": 0}} if remaining else outcome


def describe(outcome: Ended) -> str:
    """Describe an outcome: 3 short and 1 long finished, 2 streams closed, 0 aborted."""
    parts = [f"{_kinds(outcome, 'completed') or 0} finished"]
    if closed := sum(outcome.get(STREAM, {}).values()):
        parts.append("1 stream closed" if closed == 1 else f"{closed} streams closed")
    parts.append(f"{_kinds(outcome, 'cut') or 0} aborted")
    if unfinished := _kinds(outcome, "unfinished"):
        parts.append(f"{unfinished} unfinished (client disconnected or request failed)")
    return ", ".join(parts)


def describe_aborted(outcome: Ended) -> str:
    """Describe the aborted requests: 1 long and 2 batch; 0 for none. Streams do not count: web tabs reopen them."""
    return _kinds(outcome, "cut") or "0"


def _kinds(outcome: Ended, name: str) -> str:
    known = [*SHOWN_FIRST, *(kind for kind in outcome if kind not in (*SHOWN_FIRST, STREAM))]
    counts = [f"{outcome[kind][name]} {kind}" for kind in known if outcome.get(kind, {}).get(name)]
    return " and ".join(filter(None, [", ".join(counts[:-1]), *counts[-1:]]))
