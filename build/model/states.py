"""The states that a cutover reaches, and the strategies that it may take."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a cutover has reached. From `switched` on the candidate serves; FINAL ones are the end of it."""

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
    """How two releases share the machine."""

    OVERLAP = "overlap"  # both are loaded while traffic moves
    WARM = "warm"  # back to a release that still stands by, loaded
    HOLD = "hold"  # one at a time: requests wait in the proxy from one's unloading until the other has proven itself


# Steps that are walked only when they are asked for, and never on a way back.
CANARY, SOAK = "canary", "soak"
