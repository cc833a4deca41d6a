"""States and strategies of a cutover; docs/reference/journal.md lists them."""

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


MEANINGS = {
    State.PULLED: "the image is on the engine; no step has ended yet",
    State.PREFLIGHTED: "every precondition holds; nothing has changed",
    State.STARTING: "the candidate's containers run, without traffic",
    State.PARKED: "the candidate's process runs without its model",
    State.HOLDING: "requests wait in the proxy; the old model is unloaded and its GPU memory is free",
    State.LOADED: "the candidate has loaded its model",
    State.WARMING: "the candidate is ready",
    State.VERIFIED: "the candidate passed the gate",
    State.ADMITTED: "the proxy's health checks of the candidate pass, and so did the pre-switch hook",
    State.CANARY: "the candidate passed every share of the canary",
    State.SWITCHED: "new requests go to the candidate; also the end of a cutover whose clean-up failed",
    State.SOAKING: "the candidate passed the soak",
    State.RETIRED: "the old colour has drained; the cutover succeeded",
    State.ROLLED_BACK: "the candidate failed during canary, switch, soak or hold; the old release has all traffic",
    State.FAILED: "the cutover failed before traffic left the old release; the candidate is removed",
    State.HELD: "a rollback failed and cannot go on; traffic stays where it is, and an operator must act",
}

FINAL = frozenset({State.RETIRED, State.ROLLED_BACK, State.FAILED, State.HELD})
SERVING = frozenset({State.SWITCHED, State.SOAKING, State.RETIRED})


class Strategy(StrEnum):
    """How two releases share the machine during a cutover."""

    OVERLAP = "overlap"  # both are loaded while traffic moves
    WARM = "warm"  # roll back to a release on standby, which is still loaded
    HOLD = "hold"  # one release at a time: the proxy holds requests from the unload of one until the other is verified


# Optional steps, run only on request and never in a rollback.
CANARY, SOAK = "canary", "soak"
