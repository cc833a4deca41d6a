"""Hooks: at which points a user's command runs, what it is told, and what of its output may be kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from build.decisions.history import Cutover

KEPT_CHARACTERS = 4000
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|WEBHOOK|(^|_)KEY|KEY(_|$)", re.IGNORECASE)
# A shorter value would blot out ordinary words.
LEAST_SECRET = 6
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
HIDDEN = "***"


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


def environment(point: Point, cutover: Cutover | None, error: str = "") -> dict[str, str]:
    """The facts for one hook."""
    facts = dict.fromkeys(FACTS, "") | {"CUTOVER_POINT": point.value, "CUTOVER_ERROR": error}
    if cutover:
        facts |= {
            "CUTOVER_ID": cutover.id,
            "CUTOVER_KIND": cutover.kind,
            "CUTOVER_RELEASE": cutover.release.sha,
            "CUTOVER_IMAGE": cutover.release.image,
            "CUTOVER_PREVIOUS": cutover.previous.sha if cutover.previous else "",
            "CUTOVER_COLOUR": cutover.colour,
            "CUTOVER_STATE": cutover.state.value,
            "CUTOVER_ERROR": error or cutover.error,
        }
    # A zero byte cannot be in an environment.
    return {name: value.replace("\0", "") for name, value in facts.items()}


def redact(text: str, environ: Mapping[str, str]) -> str:
    """`text` without the values of secret-looking variables and without the userinfo of URLs."""
    secrets = {value for name, value in environ.items() if _SECRET_NAME.search(name) and len(value) >= LEAST_SECRET}
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _USERINFO.sub(rf"\1{HIDDEN}@", text)


def kept(output: str, environ: Mapping[str, str]) -> str:
    """The end of a hook's output, as it may be shown and journaled; redacted first, so that no secret is cut in two."""
    clean = redact(output, environ).strip()
    return clean if len(clean) <= KEPT_CHARACTERS else f"[...]{clean[-KEPT_CHARACTERS:]}"
