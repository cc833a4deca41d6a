"""A registry through the OCI distribution API: manifests, blobs and tags, with Docker's own credentials."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import requests

from build.decisions.retry import asked_wait_s, status_passes
from build.drivers import credentials
from build.drivers.patience import PassingError, Patience
from build.errors import RegistryError, UsageError

TIMEOUT_S = (10, 60)  # to connect, and between two bytes of an answer
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")  # what dockerd trusts; requests alone would ignore it
API_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
ACCEPT = {"Accept": ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))}
ATTESTED = "vnd.docker.reference.digest"  # an annotation in an index: the manifest that this one describes
PLATFORM = {"os": "linux", "architecture": "amd64"}  # the only one that the locks are solved for
LOGIN = "`docker login` with an account that may push there"


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry keeps it; `digest` (sha256:...) is that of the very bytes."""

    digest: str
    media_type: str
    body: bytes

    @property
    def parsed(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def config(self) -> str:
        """The digest of the image's configuration; empty for an index."""
        return str(self.parsed.get("config", {}).get("digest", ""))

    @property
    def platform_digest(self) -> str:
        """Of an index, the digest of its manifest for linux/amd64, else of its first; empty for a manifest.

        What describes another manifest of the index (BuildKit's attestations) is no image.
        """
        listed = [each for each in self.parsed.get("manifests", []) if ATTESTED not in (each.get("annotations") or {})]
        fitting = [each for each in listed if PLATFORM.items() <= (each.get("platform") or {}).items()]
        return next((str(each["digest"]) for each in [*fitting, *listed]), "")


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """One registry, or one namespace of it. Every method raises RegistryError when it is away or refuses."""

    def __init__(self, address: str, patience: Patience | None = None) -> None:
        """
        Args:
            address: `host[:port][/namespace]`; HTTP for a loopback address, as Docker does it, and else HTTPS.

        Raises:
            UsageError: it begins with a scheme, which no image's name can.
        """
        if "://" in address:
            raise UsageError(
                f"{address} is a URL, and images are named without one", remedy=f"say {address.partition('://')[2]}"
            )
        self.host, _, self._namespace = address.strip("/").partition("/")
        self._patience = patience or Patience()
        local = _loopback(self.host)
        self._url = f"{'http' if local else 'https'}://{API_HOSTS.get(self.host, self.host)}"
        self._session = requests.Session()
        self._session.trust_env = not local  # no proxy stands between a host and itself
        self._session.auth = lambda request: request  # or ~/.netrc would replace what docker login left
        if SYSTEM_BUNDLE.exists():
            self._session.verify = str(SYSTEM_BUNDLE)
        self._granted: dict[str, str] = {}  # repository -> Authorization header

    def full(self, name: str) -> str:
        """An image's name with the registry's host and namespace before it."""
        return "/".join(part for part in (self.host, self._namespace, name) if part)

    def digest(self, name: str, reference: str) -> str:
        """The digest of a tag (or of a digest, when it is there), empty when the registry has none."""
        answer = self._ask("HEAD", name, f"manifests/{reference}", headers=ACCEPT, fine=(404, 405))
        if found := answer.headers.get("Docker-Content-Digest", "") if answer.ok else "":
            return found
        if answer.status_code == 404:
            return ""
        manifest = self.manifest(name, reference)
        return manifest.digest if manifest else ""

    def manifest(self, name: str, reference: str) -> Manifest | None:
        """The manifest of a tag or digest, None when there is none.

        Raises:
            RegistryError: its bytes have another digest than the one asked for or the one the registry says.
        """
        answer = self._ask("GET", name, f"manifests/{reference}", headers=ACCEPT, fine=(404,))
        if answer.status_code == 404:
            return None
        actual = sha256(answer.content)
        said = {answer.headers.get("Docker-Content-Digest", actual), reference if ":" in reference else actual}
        if said != {actual}:
            raise RegistryError(
                f"{self.full(name)}:{reference} has the digest {actual}, not {', '.join(sorted(said - {actual}))}",
                remedy="something between here and the registry changes what passes; do not use this image",
            )
        return Manifest(actual, answer.headers.get("Content-Type", ""), answer.content)

    def image(self, name: str, reference: str) -> Manifest | None:
        """The manifest with an image's layers: that of a tag or digest or, of an index, the one for this platform."""
        found = self.manifest(name, reference)
        digest = found.platform_digest if found else ""
        return self.manifest(name, digest) if digest else found

    def put_manifest(self, name: str, reference: str, body: bytes, media_type: str) -> str:
        """Puts a manifest under a tag or its digest; returns the digest."""
        self._ask("PUT", name, f"manifests/{reference}", body=body, headers={"Content-Type": media_type})
        return sha256(body)

    def delete_manifest(self, name: str, digest: str) -> None:
        """Deletes a manifest with all its tags; one that has gone already is fine."""
        answer = self._ask("DELETE", name, f"manifests/{digest}", fine=(404, 405))
        if answer.status_code == 405:
            raise RegistryError(f"{self.host} deletes nothing", remedy="enable deletion in the registry's settings")

    def tags(self, name: str) -> list[str]:
        """All tags of a repository, sorted; empty when there is no such repository."""
        found: list[str] = []
        path: str = "tags/list?n=1000"
        while path:
            answer = self._ask("GET", name, path, fine=(404,))
            if answer.status_code == 404:
                break
            found += answer.json().get("tags") or []
            path = answer.links.get("next", {}).get("url", "")
        return sorted(found)

    def referrers(self, name: str, digest: str) -> list[dict[str, Any]] | None:
        """Descriptors of what refers to a manifest, None where the registry keeps no such list."""
        answer = self._ask("GET", name, f"referrers/{digest}", fine=(404,))
        if answer.status_code == 404 or not answer.headers.get("Content-Type", "").startswith(OCI_INDEX):
            return None
        found: list[dict[str, Any]] = answer.json().get("manifests") or []
        return found

    def blob(self, name: str, digest: str) -> bytes:
        """A blob's bytes, checked against its digest."""
        content = self._ask("GET", name, f"blobs/{digest}").content
        if sha256(content) != digest:
            raise RegistryError(f"the blob {digest} of {self.full(name)} came with the digest {sha256(content)}")
        return content

    def put_blob(self, name: str, content: bytes) -> str:
        """Uploads a blob unless the registry has it; returns its digest."""
        digest = sha256(content)

        def upload() -> None:
            if self._once("HEAD", name, f"blobs/{digest}", fine=(404,)).status_code == 404:
                place = self._once("POST", name, "blobs/uploads/").headers["Location"]
                mark = "&" if "?" in place else "?"
                headers = {"Content-Type": "application/octet-stream"}
                self._once("PUT", name, f"{place}{mark}digest={digest}", body=content, headers=headers)

        self._patience.run(upload)
        return digest

    def check_push(self, name: str) -> None:
        """Begins an upload and takes it back: a refusal is known before the engine sends a byte.

        Raises:
            RegistryError: Docker's credentials may not push there.
        """
        place = self._ask("POST", name, "blobs/uploads/").headers.get("Location", "")
        if place:
            # Behind tokens that takes a right to delete, which a push does not: a registry forgets it in time.
            with suppress(RegistryError, PassingError):
                self._once("DELETE", name, place)

    def _ask(self, method: str, name: str, path: str, **more: Any) -> requests.Response:
        return self._patience.run(lambda: self._once(method, name, path, **more))

    def _once(
        self,
        method: str,
        name: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        fine: tuple[int, ...] = (),
    ) -> requests.Response:
        """One request, authorized when the registry asks for it. `path` may be a whole URL that the registry gave."""
        repository = self.full(name).removeprefix(f"{self.host}/")
        url = urljoin(f"{self._url}/v2/{repository}/", path)

        def send() -> requests.Response:
            ours = urlsplit(url).netloc == urlsplit(self._url).netloc  # an upload may be sent to a storage elsewhere
            granted = {"Authorization": self._granted[repository]} if ours and repository in self._granted else {}
            return self._send(method, url, data=body, headers={**(headers or {}), **granted})

        answer = send()
        if answer.status_code == 401 and urlsplit(answer.url).netloc == urlsplit(self._url).netloc:
            # Only the registry itself is told who we are, not a storage that it sends us to.
            self._granted[repository] = self._authorize(answer)
            answer = send()
        if answer.ok or answer.status_code in fine:
            return answer
        raise self._refused(answer, f"{method} {self.full(name)}/{path.partition('?')[0]}")

    def _send(self, method: str, url: str, **more: Any) -> requests.Response:
        try:
            return self._session.request(method, url, timeout=TIMEOUT_S, **more)
        except requests.exceptions.SSLError as error:
            raise RegistryError(
                f"{self.host} does not prove who it is: {error}", remedy=f"see {SYSTEM_BUNDLE}"
            ) from None
        except requests.RequestException as error:
            failure = RegistryError(
                f"the registry {self.host} does not answer: {error}",
                remedy="check the registry's name and whether it is up",
            )
            raise PassingError(failure) from None

    def _refused(self, answer: requests.Response, what: str) -> Exception:
        said = f"{what}: {answer.status_code} {answer.reason} {_words(answer)}".strip()
        if answer.status_code in (401, 403):
            return RegistryError(f"denied by the registry: {said}", remedy=LOGIN)
        failure = RegistryError(f"the registry refused {said}")
        if "no space left" in said:
            return RegistryError(failure.message, remedy="make room on the registry's disk")
        if status_passes(answer.status_code):
            return PassingError(failure, asked_wait_s(answer.headers.get("Retry-After", ""), datetime.now(UTC)) or 0)
        return failure

    def _authorize(self, answer: requests.Response) -> str:
        """The Authorization header that answers a 401's challenge."""
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        known = credentials.read(self.host)
        if scheme.lower() == "basic" and known.user:
            return known.basic
        if scheme.lower() != "bearer":
            raise RegistryError(f"{self.host} demands a login ({scheme or 'unsaid'}), and there is none", remedy=LOGIN)
        asked = parse_keqv_list(parse_http_list(rest))
        realm = str(asked.pop("realm", ""))
        if not realm.startswith("https://") and not _loopback(urlsplit(realm).netloc):
            raise RegistryError(
                f"{self.host} wants the password sent to {realm}, in the clear", remedy="use another one"
            )
        query = {key: value for key, value in asked.items() if key in ("service", "scope") and value}
        if known.token:
            form = {**query, "grant_type": "refresh_token", "refresh_token": known.token, "client_id": "glm-tts-line"}
            granted = self._send("POST", realm, data=form)
        else:
            headers = {"Authorization": known.basic} if known.user else {}
            granted = self._send("GET", realm, params=query, headers=headers)
        if not granted.ok:
            raise self._refused(granted, f"a token for {query.get('scope', self.host)}")
        found = granted.json()
        return f"Bearer {found.get('token') or found.get('access_token')}"


def _words(answer: requests.Response) -> str:
    """What the registry says of a refusal, from its errors' codes, messages and details."""
    try:
        errors = answer.json()["errors"]
        return "; ".join(f"{each.get('code')}: {each.get('message')} {each.get('detail') or ''}" for each in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text[:300]


def _loopback(host: str) -> bool:
    """As Docker decides it: localhost and 127.0.0.0/8 are spoken to in plain HTTP."""
    name = host.rpartition(":")[0] if ":" in host else host
    try:
        return ipaddress.ip_address(name) in ipaddress.IPv4Network("127.0.0.0/8")
    except ValueError:
        return name == "localhost"
