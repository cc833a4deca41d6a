"""A registry's credentials as `docker login` left them: config.json, a credential store or helper."""

from __future__ import annotations

import base64
import warnings
from dataclasses import dataclass

from docker import auth
from docker.credentials.errors import StoreError
from docker.errors import DockerException

from build.errors import RegistryError


@dataclass(frozen=True)
class Credentials:
    """A user with a password, or an identity token that is traded for others; all empty for nobody."""

    user: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"  # never into a log or a traceback

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def read(host: str) -> Credentials:
    """What Docker knows for a registry's host.

    Raises:
        RegistryError: its configuration names a credential helper that is missing or fails.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a helper is missing is warned of, and then raised too
            found = auth.load_config().resolve_authconfig(host) or {}
    except (DockerException, StoreError, ValueError) as error:
        raise RegistryError(
            f"Docker's credentials for {host} cannot be read: {error}",
            remedy="install the credential helper that Docker's config.json names, or take it out and `docker login`",
        ) from None
    lower = {name.lower(): str(value or "") for name, value in found.items()}
    return Credentials(lower.get("username", ""), lower.get("password", ""), lower.get("identitytoken", ""))
