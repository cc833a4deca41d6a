"""Types of settings: allowed values and the error text for invalid ones."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from build.model import rollout
from build.model.hook_points import Point

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
    # IPv4 only: the stack's network has no IPv6, so the engine would give all IPv6 clients one address.
    try:
        return str(ipaddress.IPv4Address(address))
    except ValueError:
        raise ValueError("must be an IPv4 address of the target, or 0.0.0.0 for all of them") from None


def _folder(path: str) -> str:
    # The folder is on the target, so its existence cannot be checked here. Compose and .env take the path unquoted.
    if not _FOLDER.fullmatch(path):
        raise ValueError("must be an absolute path on the target, with only letters, digits and . _ @ + -")
    return path


def _names(text: str) -> str:
    # Compose and .env take the text unquoted.
    if re.search(r"[^ !-~]|[$'\"\\#]", text):
        raise ValueError("must be names separated by spaces, without quotes, backslashes, $ and #")
    return " ".join(text.split())


def _name_pairs(text: str) -> str:
    text = _names(text)
    if not all(re.fullmatch("[^=]+=.+", pair) for pair in text.split()):
        raise ValueError("must be pairs NAME=VOICE separated by spaces")
    return text


def _http(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("must be a URL that begins with http:// or https://")
    return url


def _open_url(url: str) -> str:
    # The URL ends up in an image's history or a container's environment, so it must hold no credentials.
    # apt's sources have no quoting.
    if url and not re.fullmatch(r"https?://[^\s@/]+(/[^\s@]*)?", url):
        raise ValueError("must be a URL that begins with http:// or https://, without a user or a password")
    return url


def _shares(value: object) -> object:
    """Parse canary shares: a list in pyproject.toml, `5,25,100` in the environment."""
    return rollout.parse(value) if isinstance(value, str) else value


Prefix = Annotated[str, AfterValidator(_three_octets)]
Names = Annotated[str, AfterValidator(_names)]
NamePairs = Annotated[str, AfterValidator(_name_pairs)]
HostAddress = Annotated[str, AfterValidator(_own_address)]
Folder = Annotated[str, AfterValidator(_folder)]  # on the target; "" for none
Shares = Annotated[tuple[int, ...], BeforeValidator(_shares), AfterValidator(rollout.shares)]
OpenUrl = Annotated[str, AfterValidator(_open_url)]  # anyone may read it
# Secret, so never printed: a webhook's address often contains a token.
WebAddress = Annotated[SecretStr, AfterValidator(_http)]
Argv = Annotated[tuple[str, ...], Field(min_length=1)]


class Hooks(BaseModel):
    """Operator commands as argv lists, run without a shell in the clone's root."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"))

    pre_switch: Argv | None = None
    post_switch: Argv | None = None
    on_rollback: Argv | None = None
    on_alert: Argv | None = None

    def at(self, point: Point) -> tuple[str, ...]:
        """Return the command of a hook point; empty when none is set."""
        argv: tuple[str, ...] | None = getattr(self, point.value.replace("-", "_"))
        return argv or ()

    def __str__(self) -> str:
        return ", ".join(point for point in Point if self.at(point)) or "none"
