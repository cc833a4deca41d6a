"""HTTP connection to a registry: scheme, TLS trust, authentication, and classification of refusals."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import parse_http_list, parse_keqv_list

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning

from build.errors import RegistryError
from build.registry import credentials
from build.registry.credentials import Credentials
from build.registry.retry import TransientError
from build.registry.transient_errors import is_immutable_tag_message, is_transient_status, retry_after_s
from build.registry.trust import Trust, is_loopback

TIMEOUT_S = (10, 60)  # seconds to connect, and between two bytes of an answer
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")  # dockerd trusts it; requests ignores it by default
API_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}

# Values of RegistryError.reason that a caller may act on.
DENIED, UNKNOWN, IMMUTABLE = "denied", "unknown", "immutable"
_IMMUTABLE_TAG_STATUS = (400, 403, 405, 409, 412)


class Connection:
    """Connection to one registry. Requests raise RegistryError, or TransientError if a retry may succeed."""

    def __init__(self, host: str, trust: Trust | None = None) -> None:
        """
        Args:
            host: `host[:port]`.
            trust: trust settings of the engine; without them, only loopback addresses are insecure.
        """
        self.host = host
        self.authorizations: dict[str, str] = {}  # repository -> Authorization header
        self._api = API_HOSTS.get(host, host)
        self._trust = trust or Trust(insecure=is_loopback(host))
        self._scheme = "" if self._trust.insecure else "https"
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(host)  # never use an HTTP proxy for a loopback address
        self._session.auth = lambda request: request  # without this, ~/.netrc overrides Docker's credentials
        if self._trust.authorities or self._trust.clients:
            self._session.mount("https://", _Trusting(_context(host, self._trust)))

    def request(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        expected: tuple[int, ...] = (),
    ) -> requests.Response:
        """Send one request; authenticate if the registry demands it.

        Args:
            path: path below the repository, or a full URL from the registry.
            expected: error statuses to return instead of raising.
        """
        root = f"{self._scheme or self._detected_scheme()}://{self._api}"
        url = urljoin(f"{root}/v2/{repository}/", path)

        def send() -> requests.Response:
            is_api = urlsplit(url).netloc == self._api  # the URL of an upload may point to another storage host
            authorization = self.authorizations.get(repository, "") if is_api else ""
            return self._send(
                method,
                url,
                data=body,
                headers={**(headers or {}), **({"Authorization": authorization} if authorization else {})},
            )

        answer = send()
        if answer.status_code == 401 and urlsplit(answer.url).netloc == self._api:
            # Send credentials only to the registry itself, not to a storage host that it redirects to.
            self.authorizations[repository] = self._authorize(answer)
            answer = send()
        if answer.ok or answer.status_code in expected:
            return answer
        raise self._refusal(answer, method, f"{self.host}/{repository}", path.partition("?")[0])

    def _detected_scheme(self) -> str:
        """Detect the scheme of an insecure registry as dockerd does: try HTTPS, then fall back to HTTP."""
        try:
            self._once("GET", f"https://{self._api}/v2/")
        except requests.exceptions.SSLError:
            self._scheme = "http"
        except requests.RequestException:
            return "http"  # not stored: the registry may be down now, so the next request detects the scheme again
        else:
            self._scheme = "https"
        return self._scheme

    def _once(self, method: str, url: str, **options: Any) -> requests.Response:
        bundle = str(SYSTEM_BUNDLE) if SYSTEM_BUNDLE.exists() else True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureRequestWarning)  # the daemon's configuration allows it
            # Pass `verify` with each request, because REQUESTS_CA_BUNDLE overrides the session's value.
            verify = False if self._trust.insecure else bundle
            return self._session.request(method, url, timeout=TIMEOUT_S, verify=verify, **options)

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            return self._once(method, url, **options)
        except requests.exceptions.SSLError as error:
            raise RegistryError(
                f"TLS with {self.host} fails: {error}",
                remedy=self._trust.remedy or f"put the CA certificate of {self.host} into {SYSTEM_BUNDLE}",
            ) from None
        except requests.RequestException as error:
            failure = RegistryError(
                f"the registry {self.host} does not answer: {error}",
                remedy="check the registry's name and whether it is up",
            )
            raise TransientError(failure) from None

    def _refusal(self, answer: requests.Response, method: str, where: str, path: str = "") -> Exception:
        summary = f"{method} {where}/{path}: {answer.status_code} {answer.reason} {_error_text(answer)}".strip()
        tag = method == "PUT" and path.startswith("manifests/")
        if tag and answer.status_code in _IMMUTABLE_TAG_STATUS and is_immutable_tag_message(_error_text(answer)):
            return RegistryError(
                f"the registry does not move tags: {summary}", remedy="deploy by digest", reason=IMMUTABLE
            )
        if answer.status_code in (401, 403):
            return RegistryError(f"denied by the registry: {summary}", remedy=self._login(where), reason=DENIED)
        if "no space left" in summary:
            return RegistryError(f"the registry refused {summary}", remedy="free space on the registry's disk")
        if method in ("POST", "PUT") and ("NAME_UNKNOWN" in summary or answer.status_code == 404):
            remedy = f"create {where} in the registry first: the registry does not create repositories on a push"
            return RegistryError(f"the registry refused {summary}", remedy=remedy, reason=UNKNOWN)
        failure = RegistryError(f"the registry refused {summary}")
        if is_transient_status(answer.status_code):
            return TransientError(failure, retry_after_s(answer.headers.get("Retry-After", ""), datetime.now(UTC)) or 0)
        return failure

    def _login(self, where: str) -> str:
        """Remedy for a denial, depending on whether Docker has credentials for this registry."""
        known = credentials.read(self.host)
        if not (known.user or known.token):
            return f"run `docker login {self.host}` with an account that may push there"
        account = f"the account {known.user}" if known.user else "the account of Docker's token"
        return (
            f"allow {account} to push to {where} (create the repository if the registry does not do so), "
            f"or run `docker login {self.host}` with another account"
        )

    def _authorize(self, answer: requests.Response) -> str:
        """Make the Authorization header for the challenge of a 401 answer."""
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        known = credentials.read(self.host)
        if scheme.lower() == "basic" and known.user:
            return known.basic
        if scheme.lower() != "bearer":
            raise RegistryError(
                f"{self.host} requires a login ({scheme or 'unknown scheme'}), but Docker has no credentials for it",
                remedy=f"run `docker login {self.host}` with an account that may push there",
                reason=DENIED,
            )
        return self._token(parse_keqv_list(parse_http_list(rest)), known)

    def _token(self, challenge: dict[str, str], known: Credentials) -> str:
        """Get a token from the token server named in a Bearer challenge."""
        realm = str(challenge.pop("realm", ""))
        safe = self._trust.insecure or realm.startswith("https://") or is_loopback(urlsplit(realm).netloc)
        if not safe:
            raise RegistryError(
                f"{self.host} asks for the password to be sent unencrypted to {realm}",
                remedy="use a registry whose token server has TLS",
            )
        query = {key: value for key, value in challenge.items() if key in ("service", "scope") and value}
        if known.token:
            form = {**query, "grant_type": "refresh_token", "refresh_token": known.token, "client_id": "glm-tts-line"}
            response = self._send("POST", realm, data=form)
        else:
            headers = {"Authorization": known.basic} if known.user else {}
            response = self._send("GET", realm, params=query, headers=headers)
        if not response.ok:
            raise self._refusal(response, "a token for", self.host, query.get("scope", ""))
        found = response.json()
        return f"Bearer {found.get('token') or found.get('access_token')}"


class _Trusting(HTTPAdapter):
    """HTTP adapter with its own TLS context; each request adds the system's CA bundle to it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)


def _context(host: str, trust: Trust) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        for authority in trust.authorities:
            context.load_verify_locations(cafile=authority)
        for certificate, key in trust.clients:
            context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        used = ", ".join(str(path) for path in (*trust.authorities, *(path for pair in trust.clients for path in pair)))
        raise RegistryError(
            f"the certificates for {host} cannot be used: {error} ({used})", remedy="make them readable PEM files"
        ) from None
    return context


def _error_text(answer: requests.Response) -> str:
    """Codes, messages and details from the registry's error answer."""
    try:
        errors = answer.json()["errors"]
        return "; ".join(f"{error.get('code')}: {error.get('message')} {error.get('detail') or ''}" for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text[:300]
