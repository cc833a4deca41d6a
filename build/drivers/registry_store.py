"""A registry's API (Docker's, v2) as far as retention needs it: look at what is there, delete a manifest."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import requests
from docker import auth

from build.errors import RegistryError

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
NOT_FOUND, NOT_ALLOWED, TIMEOUT_S = 404, 405, 60


class RegistryStore:
    """One registry, with the credentials that `docker login` left. Every method raises RegistryError when refused."""

    def __init__(self, address: str) -> None:
        """`address` is HOST, or HOST/PREFIX of which only the host counts; loopback is asked without TLS."""
        host = address.partition("/")[0]
        plain = host.partition(":")[0] in {"localhost", "127.0.0.1"}
        self._base = f"{'http' if plain else 'https'}://{host}/v2/"
        self._session = requests.Session()
        if known := auth.load_config().resolve_authconfig(host):
            self._session.auth = (known.get("username", ""), known.get("password", ""))

    def tags(self, repository: str) -> list[str]:
        """Its tags; none for a repository that is not there."""
        found: list[str] = []
        url = f"{repository}/tags/list"
        while url:
            response = self._ask("GET", url)
            if response.status_code == NOT_FOUND:
                return []
            found += self._good(response).json().get("tags") or []
            url = response.links.get("next", {}).get("url", "")
        return found

    def manifest(self, repository: str, reference: str) -> tuple[str, dict[str, Any]]:
        """Digest and content of what a tag or digest names."""
        response = self._good(self._ask("GET", f"{repository}/manifests/{reference}"))
        return response.headers["Docker-Content-Digest"], response.json()

    def blob(self, repository: str, digest: str) -> dict[str, Any]:
        """A small blob that is JSON."""
        document: dict[str, Any] = self._good(self._ask("GET", f"{repository}/blobs/{digest}")).json()
        return document

    def delete(self, repository: str, digest: str) -> None:
        """Removes a manifest, and with it every tag on it; one that has gone already is fine."""
        response = self._ask("DELETE", f"{repository}/manifests/{digest}")
        if response.status_code == NOT_ALLOWED:
            raise RegistryError(
                f"{self._base} does not allow deletion",
                remedy="set REGISTRY_STORAGE_DELETE_ENABLED=true on the registry's container",
            )
        if response.status_code != NOT_FOUND:
            self._good(response)

    def _ask(self, method: str, path: str) -> requests.Response:
        try:
            return self._session.request(
                method, urljoin(self._base, path), headers={"Accept": ACCEPT}, timeout=TIMEOUT_S
            )
        except requests.RequestException as error:
            raise RegistryError(
                f"the registry at {self._base} does not answer: {error}", remedy="see that it is up and reachable"
            ) from None

    def _good(self, response: requests.Response) -> requests.Response:
        if not response.ok:
            raise RegistryError(
                f"the registry refused {response.request.method} {response.url}: {response.status_code} "
                f"{response.text[:200]}",
                remedy="`docker login`, or check the name",
            )
        return response
