"""How long requests wait in a hold: the estimate for the next one, and the measurement of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from build.errors import HoldTooLongError
from build.model.release import Release
from build.state.history import Cutover, Event

# Time beside the load: drain of short requests, gate, health check of the proxy.
AROUND_S = 6.0
# Share of the hold budget for the drain when the load time is unknown.
UNKNOWN_SHARE = 0.5
# Time of a rollback beside the old release's load: last check of a hanging candidate (5 s), its removal, the proxy.
BACK_S = 10.0
# A candidate may take 1.5 times its last load, and at least the time of a slow first answer.
SLOWER, LEAST_S = 1.5, 10.0
# Reserve of the hold budget after the drain, for steps slower than expected.
SPARE_S = 5.0


def expected_s(load_s: float | None) -> float | None:
    """Return the seconds that requests will wait for a load of `load_s`; None: unknown."""
    return None if load_s is None else load_s + AROUND_S


def last_load_s(history: Sequence[Cutover], release: Release) -> float | None:
    """Return the seconds of this release's last load, else of any release's last load; None: there was none."""
    loads = [(cutover.release.sha, took) for cutover in history if (took := _load_s(cutover)) is not None]
    own = [took for sha, took in loads if sha == release.sha]
    known = own or [took for _, took in loads]
    return known[-1] if known else None


def _load_s(cutover: Cutover) -> float | None:
    # A start beside live traffic includes imports, so it is an upper bound of the load.
    took = cutover.facts.get("load_s", cutover.facts.get("warm_s"))
    return float(took) if took is not None else None


def check(expected: float | None, budget_s: float, *, forced: bool) -> None:
    """Raise HoldTooLongError when requests would wait longer than the proxy's limit, unless forced."""
    if expected is not None and expected > budget_s and not forced:
        raise HoldTooLongError(
            f"requests would wait {expected:.0f} s, longer than the proxy's limit of {budget_s:.0f} s: "
            "after the limit a client gets 503 with Retry-After",
            remedy="use `--force-hold` if that is acceptable; nothing was changed",
        )


def drain_budget_s(expected: float | None, budget_s: float, *, most_s: float) -> float:
    """Return how long to drain: a request held from the first moment must outlast drain and load.

    `most_s` is the upper bound, and the result when the load alone exceeds the proxy's limit.
    """
    available_s = budget_s * UNKNOWN_SHARE if expected is None else budget_s - expected - SPARE_S
    return min(available_s, most_s) if available_s > 0 else most_s


def candidate_timeout_s(
    budget_s: float, spent_s: float, *, load_s: float | None, reload_s: float | None, loading: bool
) -> float:
    """Return how long a hold waits for its candidate, so that the old release can serve again before requests time out.

    Args:
        spent_s: how long requests have already waited.
        load_s: expected load of the candidate, which it gets in any case; None: unknown.
        reload_s: expected load of the old release; None: unknown.
        loading: the candidate has yet to load; otherwise it only has to answer.
    """
    rollback_s = budget_s * UNKNOWN_SHARE if reload_s is None else reload_s
    needed_s = SLOWER * (load_s or 0) if loading else 0.0
    return max(budget_s - spent_s - rollback_s - BACK_S, needed_s, LEAST_S)


@dataclass
class Stopwatch:
    """How long requests have waited, by this process's monotonic clock: the target's clock may be set meanwhile.

    Only after a resume the target's clock is needed, and its result is between 0 and the hold budget.
    """

    _began: float | None = None

    def spent_s(self, now: float, by_target_s: float, budget_s: float) -> float:
        """Return the seconds since the hold began.

        Args:
            now: seconds of this process's monotonic clock.
            by_target_s: the seconds since the hold began, by the target's clock; only the first call uses it.
        """
        if self._began is None:
            self._began = now - min(max(by_target_s, 0.0), budget_s)
        return now - self._began


def began_at(records: Sequence[dict[str, Any]], cutover: str) -> str | None:
    """Return the journaled time at which a cutover began to hold requests; None if it has not.

    Where the agent has ended the hold, only what came after it counts.
    """
    began: str | None = None
    for record in records:
        if record.get("cutover") != cutover:
            continue
        if record["event"] == Event.AGENT:
            began = None
        elif record["event"] == Event.INTENT and record.get("step") == "hold":
            began = began or str(record["at"])
    return began


def held_s(records: Sequence[dict[str, Any]], cutover: str) -> float | None:
    """Return the seconds from closing the gate to opening it, by the target's clock; None if not journaled."""
    done = {
        record.get("step"): record
        for record in records
        if record.get("cutover") == cutover and record["event"] == Event.DONE
    }
    if "hold" not in done or "switch" not in done:
        return None
    began, ended = (datetime.fromisoformat(done[step]["at"]) for step in ("hold", "switch"))
    closed: float = done["hold"].get("facts", {}).get("closed_s", 0.0)
    between_s = (ended - began).total_seconds()
    # Negative if the clock was set back meanwhile: no result.
    return round(between_s + closed, 2) if between_s >= 0 else None
