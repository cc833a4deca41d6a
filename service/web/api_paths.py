"""Paths of the API as clients write them: trailing and double slashes are dropped before anything reads the path."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_PLACES = ("/health", "/docs", "/__docs__")


class ApiPaths:
    """Outermost middleware: makes /v1//audio/speech/ the same as /v1/audio/speech.

    It changes paths of the API alone: the proxy closes internal paths, and their other spellings must stay unknown.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and (path := _plain(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path}
        await self.app(scope, receive, send)


def _plain(path: str) -> str:
    plain = re.sub("/{2,}", "/", path).rstrip("/")
    return plain if plain.startswith(("/v1/", "/api/")) or plain in _PLACES else path
