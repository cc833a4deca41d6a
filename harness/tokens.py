"""A token server for registries on 127.0.0.1: it exchanges a password for a signed token of a scope."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

ISSUER, SERVICE = "glm-tts-test-issuer", "glm-tts-test-registry"
LIFE_S = 300
LEEWAY_S = 60  # docker-registry accepts a token so long after its expiry


@dataclass
class Tokens:
    """Settings of the server, and its recorded requests. Everything may change while it runs.

    Attributes:
        realm: URL of the server.
        certificate: certificate of the signing key, PEM.
        accounts: passwords by user.
        actions: actions that a token grants at most.
        life_s: lifetime of a token; the registry adds LEEWAY_S.
        requests: (user, scope, status of the response) of every request.
    """

    realm: str
    certificate: bytes
    key: rsa.RSAPrivateKey
    accounts: dict[str, str]
    actions: frozenset[str] = frozenset({"pull", "push"})
    life_s: float = LIFE_S
    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def environment(self, certificate: str) -> dict[str, str]:
        """Return a registry's settings; `certificate` is the path of the certificate for the registry."""
        settings = {"REALM": self.realm, "SERVICE": SERVICE, "ISSUER": ISSUER, "ROOTCERTBUNDLE": certificate}
        return {"REGISTRY_AUTH": "token", **{f"REGISTRY_AUTH_TOKEN_{name}": text for name, text in settings.items()}}

    def answer(self, authorization: str, scopes: list[str]) -> tuple[int, dict[str, Any]]:
        user = self._user(authorization)
        status = 200 if user else 401
        self.requests.append((user, " ".join(scopes), status))
        if not user:
            return status, {"errors": [{"code": "UNAUTHORIZED", "message": "incorrect username or password"}]}
        now = time.time()
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "exp": int(now + self.life_s),
            "nbf": int(now) - 2 * LEEWAY_S,
            "iat": int(now),
            "jti": uuid.uuid4().hex,
            "access": [self._access(scope) for scope in scopes],
        }
        chain = x509.load_pem_x509_certificate(self.certificate).public_bytes(serialization.Encoding.DER)
        headers = {"x5c": [base64.b64encode(chain).decode()]}
        return status, {"token": jwt.encode(claims, self.key, algorithm="RS256", headers=headers)}

    def _user(self, authorization: str) -> str:
        """Return the user with a correct password; empty for a wrong one."""
        scheme, _, text = authorization.partition(" ")
        if scheme != "Basic":
            return ""
        user, _, password = base64.b64decode(text).decode().partition(":")
        return user if self.accounts.get(user) == password else ""

    def _access(self, scope: str) -> dict[str, Any]:
        kind, rest = scope.split(":", 1)
        name, _, actions = rest.rpartition(":")
        return {"type": kind, "name": name, "actions": sorted(self.actions & set(actions.split(",")))}


@contextlib.contextmanager
def token_server(accounts: dict[str, str]) -> Iterator[Tokens]:
    """Run a server with a new key until the end of the context."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    realm = f"http://127.0.0.1:{server.server_address[1]}/token"
    server.tokens = Tokens(realm, _certificate(key), key, accounts)  # type: ignore[attr-defined]  # for its handlers
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.tokens  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        tokens: Tokens = self.server.tokens  # type: ignore[attr-defined]
        query = parse_qs(urlsplit(self.path).query)
        scopes = [scope for text in query.get("scope", []) for scope in text.split()]
        status, response = tokens.answer(self.headers.get("Authorization", ""), scopes)
        content = json.dumps(response).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing: `Tokens.requests` has them."""
