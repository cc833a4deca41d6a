"""Who asks: by API key, or by the address that the proxy passes on; and whether they may."""

from __future__ import annotations

import base64
import binascii
from ipaddress import IPv6Address, ip_address, ip_network
from typing import cast

from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.rate_limits import Client, Clients
from service.errors import KeyMissingError, LimitError, respond
from service.keys import Keys
from service.metrics.metrics import Metrics, Refusal
from service.paths import HEALTH, belongs_to_page
from service.settings import Limits, Settings

SPEECH = ("/v1/audio/speech", "/api/predict")

_CLIENT = "tts.client"
# A browser asks its user for a password, and sends it along from then on; a program has the key in its settings.
_CHALLENGE = {True: 'Basic realm="speech", charset="UTF-8"', False: 'Bearer realm="speech"'}
_ONE_HOME = 64  # bits of an IPv6 address that a provider gives to one client


def client_of(scope: Scope) -> Client:
    """Who sent this request; the guard has let it in."""
    return cast(Client, scope[_CLIENT])


class Guard:
    """Lets in who has a key (where there are keys), counts speech against the client's limits."""

    def __init__(self, app: ASGIApp, settings: Settings, keys: Keys | None, metrics: Metrics) -> None:
        self.app = app
        self.keys = keys
        self.limits = settings.client_limits
        self.clients = Clients(on_refusal=metrics.rejected.labels(Refusal.RATE_LIMIT).inc)
        self._proxy = settings.proxy
        self._inside = settings.inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["path"] in HEALTH:  # whoever watches the service needs no key
            await self.app(scope, receive, send)
            return
        try:
            client = self._client(scope)
            scope[_CLIENT] = client
            if scope["method"] == "POST" and scope["path"] in SPEECH:
                with client.request():
                    await self.app(scope, receive, send)
                return
        except (KeyMissingError, LimitError) as error:
            scope["part"] = "refused"
            await respond(error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _client(self, scope: Scope) -> Client:
        address = self._address(scope)
        if address in self._inside:
            return Client("inside", Limits())
        if self.keys is None:
            return self.clients.get(f"address {_grouped(address)}", self.limits)
        token = _token(scope)
        key = self.keys.find(token) if token else None
        if key is None:
            message = "the API key is not known" if token else "an API key is needed: Authorization: Bearer KEY"
            raise KeyMissingError(message, _CHALLENGE[belongs_to_page(scope["path"])])
        return self.clients.get(f"key {key.name}", key.limits)

    def _address(self, scope: Scope) -> str:
        """Where the request comes from. What a header says counts only when the proxy has written it."""
        peer = str((scope.get("client") or ("unknown",))[0])
        if self._proxy and peer == self._proxy:
            written: list[bytes] = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
            if written:
                return written[-1].decode("latin-1").rpartition(",")[2].strip()
        return peer


def _grouped(address: str) -> str:
    """The address, or the network of one IPv6 client, which has more addresses than anyone can count."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or ip_network((parsed, _ONE_HOME), strict=False))


def _token(scope: Scope) -> str:
    """The key that the request brings, as a bearer token or as a password; "" without any."""
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
