"""Credentials in URLs, found and taken out of what is shown or stored.

It lies here because image builds, which have nothing of build but build.conda, need it too.
"""

from __future__ import annotations

import re

HIDDEN = "***"
_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^\s/?#'\"<>]*)@")
_CHANNEL_TOKEN = re.compile(r"(https?://[^\s/'\"]+/t/)[^\s/?#'\"<>]+")  # anaconda.org's and quetz's
_QUERY = re.compile(r"([?&][\w-]*(?:token|signature|credential|password|secret)=)[^\s&#'\"<>]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Text whose URLs show no password, no token and no signature.

    A user alone is shown (`ssh://deploy@host`), but for HTTP, where it may be a token.
    """
    text = _USER.sub(_without_user, text)
    text = _CHANNEL_TOKEN.sub(rf"\1{HIDDEN}", text)
    return _QUERY.sub(rf"\1{HIDDEN}", text)


def holds_credentials(text: str) -> bool:
    """True when there is something in a text that redact() takes out."""
    return redact(text) != text


def _without_user(found: re.Match[str]) -> str:
    scheme, user = found["scheme"], found["user"]
    return f"{scheme}://{HIDDEN}@" if ":" in user or scheme.lower().startswith("http") else found[0]
