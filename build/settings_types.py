"""The kinds of values that settings have: what each may be, and what is said of one that does not fit."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from build.model import rollout

_FOLDER = re.compile(r"(/[A-Za-z0-9._@+/-]+)?")


def _three_octets(prefix: str) -> str:
    try:
        network = ipaddress.IPv4Network(f"{prefix}.0/24")
    except ValueError:
        raise ValueError("must be three octets, such as 172.29.118") from None
    if not network.is_private:
        raise ValueError("must be a private network")
    return prefix


def _own_address(address: str) -> str:
    # By IPv6 the engine would pass every client on as one: the stack's network has none.
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        raise ValueError("must be an IPv4 address of the target, or 0.0.0.0 for all of them") from None


def _folder(path: str) -> str:
    # On the target, so that nobody here can look whether it is there; Compose and .env take it as it is.
    if not _FOLDER.fullmatch(path):
        raise ValueError("must be an absolute path on the target, of letters, digits and . _ @ + - alone")
    return path


def _http(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("must be a URL that begins with http:// or https://")
    return url


def _archive(url: str) -> str:
    # It becomes part of an image's history, and apt's sources have no quoting.
    if url and not re.fullmatch(r"https?://[^\s@/]+(/[^\s@]*)?", url):
        raise ValueError("must be a URL that begins with http:// or https://, without a user or a password")
    return url


def _shares(given: object) -> object:
    """Of a canary: a list in pyproject.toml, `5,25,100` in the environment."""
    return rollout.parse(given) if isinstance(given, str) else given


Prefix = Annotated[str, AfterValidator(_three_octets)]
HostAddress = Annotated[str, AfterValidator(_own_address)]
Folder = Annotated[str, AfterValidator(_folder)]  # on the target; empty for none
Shares = Annotated[tuple[int, ...], BeforeValidator(_shares), AfterValidator(rollout.shares)]
Archive = Annotated[str, AfterValidator(_archive)]
# Shown nowhere: the addresses of webhooks are secrets themselves.
WebAddress = Annotated[SecretStr, AfterValidator(_http)]
Argv = Annotated[tuple[str, ...], Field(min_length=1)]
