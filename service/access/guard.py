"""Authentication of each request, by API key or by the client address that the proxy forwards."""

from __future__ import annotations

import base64
import binascii
from ipaddress import IPv6Address, ip_address, ip_network
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.rate_limits import Client, Clients
from service.errors import RateLimitedError, UnauthorizedError, respond
from service.keys import Keys
from service.metrics.metrics import Metrics, Refusal
from service.paths import HEALTH, belongs_to_page
from service.settings import Limits, Settings
from service.telemetry.record import current_record

SPEECH = ("/v1/audio/speech", "/api/predict")

_CLIENT = "tts.client"
# For the page, a browser prompts for a password and resends it. A program has the key in its settings.
_CHALLENGE = {True: 'Basic realm="speech", charset="UTF-8"', False: 'Bearer realm="speech"'}
_CLIENT_PREFIX = 64  # prefix length (bits) of the IPv6 network that a provider assigns to one client


def client_of(scope: Scope) -> Client:
    """Return the client of a request that the guard accepted."""
    return cast(Client, scope[_CLIENT])


class Guard:
    """Middleware that checks API keys (if any are configured) and applies rate limits to speech requests."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Keys | None, metrics: Metrics) -> None:
        self.app = app
        self.keys = keys
        self.limits = settings.client_limits
        self.clients = Clients(on_refusal=metrics.rejected.labels(Refusal.RATE_LIMIT).inc)
        self._proxy = settings.proxy
        self._inside = settings.inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["path"] in HEALTH:  # health checks need no key
            await self.app(scope, receive, send)
            return
        try:
            client = self._client(scope)
            scope[_CLIENT] = client
            current_record().client = client.name
            if scope["method"] == "POST" and scope["path"] in SPEECH:
                with client.request():
                    await self.app(scope, receive, send)
                return
        except (UnauthorizedError, RateLimitedError) as error:
            scope["part"] = "refused"
            await respond(error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _client(self, scope: Scope) -> Client:
        address = self._address(scope)
        if address in self._inside:
            return Client("inside", Limits())
        if self.keys is None:
            return self.clients.get(f"address {_client_network(address)}", self.limits)
        token = _token(scope)
        key = self.keys.find(token) if token else None
        if key is None:
            message = (
                "the API key is unknown"
                if token
                else "an API key is required: send the header `Authorization: Bearer KEY`"
            )
            raise UnauthorizedError(message, _CHALLENGE[belongs_to_page(scope["path"])])
        return self.clients.get(f"key {key.name}", key.limits)

    def _address(self, scope: Scope) -> str:
        """Return the address of the client. `X-Forwarded-For` is trusted only if the proxy is the peer."""
        peer = str((scope.get("client") or ("unknown",))[0])
        if self._proxy and peer == self._proxy:
            values: list[bytes] = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            if values:
                return values[-1].decode("latin-1").rpartition(",")[2].strip()
        return peer


def _client_network(address: str) -> str:
    """Return the address, or the /64 network of an IPv6 address: one IPv6 client can use any address of it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or ip_network((parsed, _CLIENT_PREFIX), strict=False))


def _token(scope: Scope) -> str:
    """Return the key of the request, from a bearer token or a basic-auth password; "" if it has none."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    header = headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return str(base64.b64decode(value.strip(), validate=True), "utf-8").partition(":")[2]
            except (binascii.Error, ValueError):
                return ""
    return ""
