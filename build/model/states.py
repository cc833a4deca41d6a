"""States and strategies of a cutover."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Progress of a cutover. The candidate serves in the SERVING states; the FINAL states end the cutover."""

    PULLED = "pulled"
    PREFLIGHTED = "preflighted"
    STARTING = "starting"
    PARKED = "parked"
    HOLDING = "holding"
    LOADED = "loaded"
    WARMING = "warming"
    VERIFIED = "verified"
    ADMITTED = "admitted"
    CANARY = "canary"
    SWITCHED = "switched"
    SOAKING = "soaking"
    RETIRED = "retired"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"
    HELD = "held"


FINAL = frozenset({State.RETIRED, State.ROLLED_BACK, State.FAILED, State.HELD})
SERVING = frozenset({State.SWITCHED, State.SOAKING, State.RETIRED})


class Strategy(StrEnum):
    """How two releases share the machine during a cutover."""

    OVERLAP = "overlap"  # both are loaded while traffic moves
    WARM = "warm"  # roll back to a release on standby, which is still loaded
    HOLD = "hold"  # one release at a time: the proxy holds requests from the unload of one until the other is verified


# Optional steps, run only on request and never in a rollback.
CANARY, SOAK = "canary", "soak"
