"""When a hook runs, and the variables that it gets."""

from __future__ import annotations

from enum import StrEnum


class Point(StrEnum):
    """When a hook runs."""

    PRE_SWITCH = "pre-switch"  # the candidate has passed, no request has gone there: a failure refuses the switch
    POST_SWITCH = "post-switch"  # traffic has moved; the old colour drains
    ON_ROLLBACK = "on-rollback"  # traffic has gone back, by itself or by `rollback`
    ON_ALERT = "on-alert"  # a person is needed


# Each of these is set for every hook, empty where it has no meaning. They are no settings, though they look alike.
FACTS = {
    "CUTOVER_POINT": "which hook this is",
    "CUTOVER_ID": "the cutover, as `history` and out/cutovers name it",
    "CUTOVER_KIND": "switch or rollback",
    "CUTOVER_RELEASE": "full SHA of the release that the cutover makes live",
    "CUTOVER_IMAGE": "its image, by digest or ID",
    "CUTOVER_PREVIOUS": "full SHA of what was live before",
    "CUTOVER_COLOUR": "the colour that the release goes to",
    "CUTOVER_STATE": "the state that the cutover has reached",
    "CUTOVER_ERROR": "what went wrong",
}
