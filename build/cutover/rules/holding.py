"""How long requests wait in a hold: what to expect of the next one, and what the last one took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from build.errors import HoldTooLongError
from build.model.release import Release
from build.state.history import Cutover, Event

# Beside the load: the drain of short requests, the gate, and the proxy's own look.
AROUND_S = 6.0
# A hold whose load nobody has measured may have this share of the budget for the drain.
UNKNOWN_SHARE = 0.5
# A way back takes so long beside the old release's load: the last look at one that hangs (5 s), its removal, the proxy.
BACK_S = 10.0
# A candidate has half as much again as its last load took, and never less than what a slow first answer takes.
SLOWER, LEAST_S = 1.5, 10.0
# Left of the budget when the drain has had its part, for what goes slower than it did.
SPARE_S = 5.0


def expected_s(load_s: float | None) -> float | None:
    """Seconds that requests will wait for a load of so many; None: unknown."""
    return None if load_s is None else load_s + AROUND_S


def last_load_s(history: Sequence[Cutover], release: Release) -> float | None:
    """Seconds that this release's last load took, else the last load of any; None: there was none."""
    loads = [(cutover.release.sha, took) for cutover in history if (took := _load_s(cutover)) is not None]
    own = [took for sha, took in loads if sha == release.sha]
    known = own or [took for _, took in loads]
    return known[-1] if known else None


def _load_s(cutover: Cutover) -> float | None:
    # A start beside live traffic counts imports too: more than a load alone takes, never less.
    took = cutover.facts.get("load_s", cutover.facts.get("warm_s"))
    return float(took) if took is not None else None


def check(expected: float | None, budget_s: float, *, forced: bool) -> None:
    """Raises HoldTooLongError when requests would wait longer than the proxy lets them, unless that is wanted."""
    if expected is not None and expected > budget_s and not forced:
        raise HoldTooLongError(
            f"requests would have to wait {expected:.0f} s, and the proxy keeps them for {budget_s:.0f} s: "
            "those that wait longer get 503 with Retry-After",
            remedy="`--force-hold` if clients may be refused for a while; nothing was touched",
        )


def drain_budget_s(expected: float | None, budget_s: float, *, most_s: float) -> float:
    """How long to wait for what is in flight: a request held from the first moment must outlast drain and load.

    `most_s` bounds it, and is the whole of it when the load alone exceeds what the proxy allows.
    """
    left = budget_s * UNKNOWN_SHARE if expected is None else budget_s - expected - SPARE_S
    return min(left, most_s) if left > 0 else most_s


def patience_s(
    budget_s: float, spent_s: float, *, load_s: float | None, reload_s: float | None, loading: bool
) -> float:
    """Seconds that a hold waits for its candidate: the old release must be able to serve before anybody is refused.

    Args:
        spent_s: for so long requests have waited already.
        load_s: what the candidate's load is expected to take, which it is given in any case; None: unknown.
        reload_s: the same of the old release's.
        loading: the load is still to come; else it only has to answer.
    """
    way_back_s = budget_s * UNKNOWN_SHARE if reload_s is None else reload_s
    needed_s = SLOWER * (load_s or 0) if loading else 0.0
    return max(budget_s - spent_s - way_back_s - BACK_S, needed_s, LEAST_S)


def began_at(records: Sequence[dict[str, Any]], cutover: str) -> str | None:
    """When a cutover began to hold requests, in the journal's words; None: it has not."""
    of = (each for each in records if each.get("cutover") == cutover and each["event"] == Event.INTENT)
    return next((str(each["at"]) for each in of if each.get("step") == "hold"), None)


def held_s(records: Sequence[dict[str, Any]], cutover: str) -> float | None:
    """Seconds from the gate's closing to its opening, by the target's clock; None when the journal does not tell."""
    done = {
        each.get("step"): each for each in records if each.get("cutover") == cutover and each["event"] == Event.DONE
    }
    if "hold" not in done or "switch" not in done:
        return None
    began, ended = (datetime.fromisoformat(done[step]["at"]) for step in ("hold", "switch"))
    closed: float = done["hold"].get("facts", {}).get("closed_s", 0.0)
    between_s = (ended - began).total_seconds()
    # A clock that was set back meanwhile tells nothing.
    return round(between_s + closed, 2) if between_s >= 0 else None
