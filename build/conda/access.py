"""Credentials for conda channels, read from netrc and from the file that RATTLER_AUTH_FILE names, as conda clients do.

Lock files, labels and messages never contain credentials. An image build mounts both files as secrets.
"""

from __future__ import annotations

import base64
import json
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request

from build.conda import CondaError

REMEDY = (
    "give the channel without credentials, and put a user and password into ~/.netrc (or the file that NETRC names), "
    'or a channel\'s token into the file that RATTLER_AUTH_FILE names: {"HOST": {"CondaToken": "..."}}'
)


def files(environ: Mapping[str, str]) -> dict[str, Path]:
    """The credential files that exist, by the environment variable that names them."""
    found = {"NETRC": environ.get("NETRC") or str(Path.home() / ".netrc")}
    found["RATTLER_AUTH_FILE"] = environ.get("RATTLER_AUTH_FILE", "")
    return {name: Path(path) for name, path in found.items() if path and Path(path).is_file()}


def request(url: str, environ: Mapping[str, str] = os.environ) -> Request:
    """Make a request for a package with the credentials of its host; they are not sent on to a redirect's host.

    Raises:
        CondaError: a credential file cannot be read.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return Request(url)  # noqa: S310 - explicit.parse also accepts file URLs
    known = _known(parts.hostname, files(environ))
    if token := known.get("CondaToken"):
        return Request(urlunsplit(parts._replace(path=f"/t/{token}{parts.path}")))  # noqa: S310
    plain = Request(url)  # noqa: S310
    if basic := known.get("BasicHTTP"):
        text = base64.b64encode(f"{basic['username']}:{basic['password']}".encode()).decode()
        plain.add_unredirected_header("Authorization", f"Basic {text}")
    elif bearer := known.get("BearerToken"):
        plain.add_unredirected_header("Authorization", f"Bearer {bearer}")
    return plain


def _known(host: str, present: Mapping[str, Path]) -> dict[str, Any]:
    """The credentials of a host as an entry in rattler's format; the most specific entry wins."""
    try:
        if path := present.get("RATTLER_AUTH_FILE"):
            entries: dict[str, dict[str, Any]] = json.loads(path.read_text())
            fitting = [name for name in entries if name == host or (name[:2] == "*." and host.endswith(name[1:]))]
            if fitting:
                return entries[max(fitting, key=len)]
        if path := present.get("NETRC"):
            found = netrc.netrc(str(path)).authenticators(host)
            if found:
                return {"BasicHTTP": {"username": found[0], "password": found[2]}}
    except (OSError, ValueError, netrc.NetrcParseError) as error:
        # The error's own text may quote the file, so only its type is shown.
        raise CondaError(
            f"the credentials in {path} cannot be read ({type(error).__name__})", remedy="correct the file"
        ) from None
    return {}
