"""Environment of operator hooks, and redaction of their output."""

from __future__ import annotations

import re
from collections.abc import Mapping

from build.model.hook_points import FACTS, Point
from build.state.history import Cutover

MOST_CHARACTERS = 4000
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|COOKIE|WEBHOOK|(^|_)KEY|KEY(_|$)", re.IGNORECASE)
# Redacting shorter values would hide ordinary words.
LEAST_SECRET = 6
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
HIDDEN = "***"


def environment(point: Point, cutover: Cutover | None, error: str = "") -> dict[str, str]:
    """Return the environment variables for one hook."""
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
    # A null byte is not allowed in an environment variable.
    return {name: value.replace("\0", "") for name, value in facts.items()}


def redact(text: str, environ: Mapping[str, str]) -> str:
    """Return `text` without the values of secret-looking variables and without the userinfo of URLs."""
    secrets = {value for name, value in environ.items() if _SECRET_NAME.search(name) and len(value) >= LEAST_SECRET}
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return _USERINFO.sub(rf"\1{HIDDEN}@", text)


def excerpt(output: str, environ: Mapping[str, str]) -> str:
    """Return the end of a hook's output for display and journal; redact first, so that no secret is cut in two."""
    clean = redact(output, environ).strip()
    return clean if len(clean) <= MOST_CHARACTERS else f"[...]{clean[-MOST_CHARACTERS:]}"
