"""Points at which hooks run, and the variables that a hook gets; docs/reference/settings.md lists both."""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """Point of a cutover at which a hook runs."""

    PRE_SWITCH = "pre-switch"
    POST_SWITCH = "post-switch"
    ON_ROLLBACK = "on-rollback"
    ON_ALERT = "on-alert"


MEANINGS = {
    Point.PRE_SWITCH: "the candidate passed the gate and has no traffic yet; a failing hook rejects the candidate",
    Point.POST_SWITCH: "traffic has moved; the old colour drains",
    Point.ON_ROLLBACK: "traffic has moved back, automatically or by `rollback`",
    Point.ON_ALERT: "a cutover failed and an operator must act",
}


# All of these are set for every hook; a variable without a value is empty. They are not settings, despite their prefix.
FACTS = {
    "CUTOVER_POINT": "the hook: pre-switch, post-switch, on-rollback or on-alert",
    "CUTOVER_ID": "the cutover's ID, as in `history` and out/cutovers",
    "CUTOVER_KIND": "switch or rollback",
    "CUTOVER_RELEASE": "full SHA of the release that the cutover makes live",
    "CUTOVER_IMAGE": "its image, by digest or ID",
    "CUTOVER_PREVIOUS": "full SHA of the release that was live before",
    "CUTOVER_COLOUR": "the colour that gets the release",
    "CUTOVER_STATE": "the state that the cutover has reached",
    "CUTOVER_ERROR": "the error",
}
