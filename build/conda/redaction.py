"""Redaction of credentials in URLs before text is shown or stored.

It is in build.conda because image builds need it too, and they have no other part of build.
"""

from __future__ import annotations

import re

HIDDEN = "***"
_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^\s/?#'\"<>]*)@")
_CHANNEL_TOKEN = re.compile(r"(https?://[^\s/'\"]+/t/)[^\s/?#'\"<>]+")  # anaconda.org's and quetz's
_QUERY = re.compile(r"([?&][\w-]*(?:token|signature|credential|password|secret)=)[^\s&#'\"<>]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Replace passwords, tokens and signatures in the URLs of a text.

    A user name without a password stays (`ssh://deploy@host`), except in HTTP URLs, where it may be a token.
    """
    text = _USER.sub(_without_user, text)
    text = _CHANNEL_TOKEN.sub(rf"\1{HIDDEN}", text)
    return _QUERY.sub(rf"\1{HIDDEN}", text)


def contains_credentials(text: str) -> bool:
    """Whether redact() would change the text."""
    return redact(text) != text


def _without_user(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    return f"{scheme}://{HIDDEN}@" if ":" in user or scheme.lower().startswith("http") else match[0]
