"""Client for the OCI distribution API: manifests, blobs and tags, with Docker's credentials."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import requests

from build.errors import RegistryError, UsageError
from build.registry.http import DENIED, Connection
from build.registry.retry import RetryPolicy, TransientError
from build.registry.trust import Trust

T = TypeVar("T")
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))}
ATTESTED = "vnd.docker.reference.digest"  # annotation in an index: digest of the manifest that this one describes
PLATFORM = {"os": "linux", "architecture": "amd64"}  # the only platform of the locks


@dataclass(frozen=True)
class Manifest:
    """A manifest as stored in the registry; `digest` (sha256:...) is computed from `body`."""

    digest: str
    media_type: str
    body: bytes

    @property
    def parsed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def config(self) -> str:
        """Digest of the image's configuration; empty for an index."""
        return str(self.parsed.get("config", {}).get("digest", ""))

    @property
    def platform_digest(self) -> str:
        """For an index, the digest of its linux/amd64 image, otherwise of its first image; empty for a plain manifest.

        Manifests that describe another manifest of the index (BuildKit's attestations) are not images and are ignored.
        """
        images = [
            entry for entry in self.parsed.get("manifests", []) if ATTESTED not in (entry.get("annotations") or {})
        ]
        fitting = [image for image in images if PLATFORM.items() <= (image.get("platform") or {}).items()]
        return next((str(image["digest"]) for image in [*fitting, *images]), "")


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def split(address: str) -> tuple[str, str]:
    """Split `host[:port][/namespace]` into host with port, and namespace.

    Raises:
        UsageError: the address contains credentials or a scheme, which an image name cannot contain.
    """
    scheme, _, rest = address.rpartition("://")
    host, _, namespace = rest.strip("/").partition("/")
    if "@" in host:
        plain = host.rpartition("@")[2]
        raise UsageError(
            f"the address of the registry {plain} contains credentials, which would appear in every image name",
            remedy=f"run `docker login {plain}`, and give the address without credentials",
        )
    if scheme:
        raise UsageError(f"{address} is a URL, but image names have no scheme", remedy=f"use {rest}")
    return host, namespace


class Registry:
    """One registry, or one namespace of it.

    Every method raises RegistryError if the registry does not answer or refuses the request.
    """

    def __init__(self, address: str, retry: RetryPolicy | None = None, trust: Trust | None = None) -> None:
        """
        Args:
            address: `host[:port][/namespace]`.
            trust: how the engine reaches the registry (see build.registry.registries). Without it, loopback addresses
                are insecure and all others need verified TLS.

        Raises:
            UsageError: the address contains credentials or a scheme, which an image name cannot contain.
        """
        self.host, self._namespace = split(address)
        self._retry = retry or RetryPolicy()
        self.http = Connection(self.host, trust)

    def full(self, name: str) -> str:
        """Prefix an image name with the registry's host and namespace."""
        return "/".join(part for part in (self.host, self._namespace, name) if part)

    def digest(self, name: str, reference: str) -> str:
        """Digest of a tag, or of an existing digest; empty if the registry has none."""
        answer = self._request("HEAD", name, f"manifests/{reference}", headers=ACCEPT, expected=(404, 405))
        if found := answer.headers.get("Docker-Content-Digest", "") if answer.ok else "":
            return found
        if answer.status_code == 404:
            return ""
        manifest = self.manifest(name, reference)
        return manifest.digest if manifest else ""

    def manifest(self, name: str, reference: str) -> Manifest | None:
        """Get the manifest of a tag or digest; None if there is none.

        Raises:
            RegistryError: the bytes do not match the requested digest or the digest in the registry's answer.
        """
        answer = self._request("GET", name, f"manifests/{reference}", headers=ACCEPT, expected=(404,))
        if answer.status_code == 404:
            return None
        actual = sha256(answer.content)
        claimed = {answer.headers.get("Docker-Content-Digest", actual), reference if ":" in reference else actual}
        if claimed != {actual}:
            raise RegistryError(
                f"{self.full(name)}:{reference} has the digest {actual}, not {', '.join(sorted(claimed - {actual}))}",
                remedy="do not use this image: something between this machine and the registry changes the data",
            )
        return Manifest(actual, answer.headers.get("Content-Type", ""), answer.content)

    def image(self, name: str, reference: str) -> Manifest | None:
        """Get the manifest with an image's layers by tag or digest; for an index, the manifest of this platform."""
        found = self.manifest(name, reference)
        digest = found.platform_digest if found else ""
        return self.manifest(name, digest) if digest else found

    def put_manifest(self, name: str, reference: str, body: bytes, media_type: str) -> str:
        """Put a manifest under a tag or its digest; return the digest."""
        self._request("PUT", name, f"manifests/{reference}", body=body, headers={"Content-Type": media_type})
        return sha256(body)

    def delete_manifest(self, name: str, digest: str) -> None:
        """Delete a manifest with all its tags; do nothing if it no longer exists."""
        answer = self._request("DELETE", name, f"manifests/{digest}", expected=(404, 405))
        if answer.status_code == 405:
            raise RegistryError(
                f"the registry {self.host} does not delete images", remedy="enable deletion in the registry's settings"
            )

    def tags(self, name: str) -> list[str]:
        """List all tags of a repository, sorted; empty if there is no such repository."""
        found: list[str] = []
        path: str = "tags/list?n=1000"
        while path:
            answer = self._request("GET", name, path, expected=(404,))
            if answer.status_code == 404:
                break
            found += answer.json().get("tags") or []
            path = answer.links.get("next", {}).get("url", "")
        return sorted(found)

    def referrers(self, name: str, digest: str) -> list[dict[str, Any]] | None:
        """List the descriptors of a manifest's referrers; None if the registry has no referrers API."""
        answer = self._request("GET", name, f"referrers/{digest}", expected=(404,))
        if answer.status_code == 404 or not answer.headers.get("Content-Type", "").startswith(OCI_INDEX):
            return None
        found: list[dict[str, Any]] = answer.json().get("manifests") or []
        return found

    def blob(self, name: str, digest: str) -> bytes:
        """Get a blob and check it against its digest."""
        content = self._request("GET", name, f"blobs/{digest}").content
        if sha256(content) != digest:
            raise RegistryError(
                f"the registry sent {self.full(name)}'s blob {digest} with the digest {sha256(content)}"
            )
        return content

    def put_blob(self, name: str, content: bytes) -> str:
        """Upload a blob unless the registry has it; return its digest."""
        digest = sha256(content)

        def upload() -> None:
            if self._request_once("HEAD", name, f"blobs/{digest}", expected=(404,)).status_code == 404:
                location = self._request_once("POST", name, "blobs/uploads/").headers["Location"]
                separator = "&" if "?" in location else "?"
                headers = {"Content-Type": "application/octet-stream"}
                self._request_once("PUT", name, f"{location}{separator}digest={digest}", body=content, headers=headers)

        self._retry.run(upload)
        return digest

    def before_push(self, name: str, read: Callable[[], T], absent: T) -> T:
        """Call `read`; return `absent` if the registry denies the read but allows a push.

        ECR, GHCR, Quay and GitLab answer 401 or 403 for a repository that no push has created yet.

        Raises:
            RegistryError: the registry denies the push too, or `read` failed for another reason.
        """
        try:
            return read()
        except RegistryError as error:
            if error.reason != DENIED:
                raise
        self.check_push(name)
        return absent

    def check_push(self, name: str) -> None:
        """Start an upload and cancel it, so that a refusal is known before the engine sends any data.

        Raises:
            RegistryError: Docker's credentials do not allow a push there.
        """
        location = self._request("POST", name, "blobs/uploads/").headers.get("Location", "")
        if location:
            # With tokens, the cancellation needs the right to delete, which a push does not. Without it, the registry
            # expires the upload later.
            with suppress(RegistryError, TransientError):
                self._request_once("DELETE", name, location)

    def _request(self, method: str, name: str, path: str, **options: Any) -> requests.Response:
        return self._retry.run(lambda: self._request_once(method, name, path, **options))

    def _request_once(self, method: str, name: str, path: str, **options: Any) -> requests.Response:
        return self.http.request(method, self.full(name).removeprefix(f"{self.host}/"), path, **options)
