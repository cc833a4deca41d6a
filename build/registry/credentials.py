"""Registry credentials from `docker login`: config.json, a credential store or a credential helper."""

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
    """User and password, or an identity token to exchange for access tokens; all empty for anonymous access."""

    user: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return "Credentials(...)"  # keeps secrets out of logs and tracebacks

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def read(host: str) -> Credentials:
    """Read Docker's credentials for a registry host.

    Raises:
        RegistryError: Docker's configuration names a credential helper that is missing or fails.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # docker-py warns about a missing helper and then raises too
            found = auth.load_config().resolve_authconfig(host) or {}
    except (DockerException, StoreError, ValueError) as error:
        raise RegistryError(
            f"Docker's credentials for {host} cannot be read: {error}",
            remedy="install the credential helper of Docker's config.json, or remove it there and run `docker login`",
        ) from None
    lower = {name.lower(): str(value or "") for name, value in found.items()}
    return Credentials(lower.get("username", ""), lower.get("password", ""), lower.get("identitytoken", ""))
