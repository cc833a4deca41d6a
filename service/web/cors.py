"""Access to the API from pages of other origins (CORS), as TTS_CORS_ORIGINS allows it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.paths import belongs_to_page

_SHOWN = (
    "Retry-After", "X-Audio-Duration", "X-Changed-Fields", "X-Ignored-Fields", "X-Realtime-Factor", "X-Release",
    "X-Request-Id", "X-Sample-Rate",
)  # fmt: skip


class Cors:
    """Middleware outside of the guard, since a browser's preflight carries no key.

    Gradio echoes any origin together with credentials; a page of another origin must not reach the web page's calls.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self.app = app
        self._api = (
            CORSMiddleware(
                app, allow_origins=origins, allow_methods=("GET", "POST"), allow_headers=("*",), expose_headers=_SHOWN
            )
            if origins
            else app
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not belongs_to_page(scope["path"]):
            await self._api(scope, receive, send)
            return

        async def without_origins(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in [name for name in headers if name.startswith("access-control-")]:
                    del headers[name]
            await send(message)

        await self.app(scope, receive, without_origins)
