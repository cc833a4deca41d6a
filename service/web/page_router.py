"""Dispatch between the page and the API: the page's own paths go to the page once it exists, all others to the API.

A mount at "/" would hide the API's errors for unknown paths and wrong methods.
"""

from __future__ import annotations

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.disk import is_full
from service.errors import StorageFullError, respond, respond_status
from service.fields import quote
from service.paths import belongs_to_page


class PageRouter:
    """Sends each request to the page or to the API."""

    def __init__(self, api: ASGIApp) -> None:
        self.api = api
        self.page: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if self.page and belongs_to_page(scope["path"]):
            scope["part"] = "page"
            await _with_api_errors(self.page, scope, receive, send)
        else:
            await self.api(scope, receive, send)


async def _with_api_errors(page: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the page and replace its error responses by ones in the API's format."""
    refusal: Message | None = None
    body = b""

    async def hold_back(message: Message) -> None:
        nonlocal refusal, body
        if message["type"] == "http.response.start" and message["status"] >= 400:
            refusal = message
        elif refusal is None:
            await send(message)
        else:
            body += message.get("body", b"")

    try:
        await page(scope, receive, hold_back)
    except OSError as error:
        if not (refusal and is_full(error)):
            raise
        refusal = None
        await respond(StorageFullError())(scope, receive, send)
    finally:
        if refusal:
            response = respond_status(refusal["status"], _detail(body), "page_error")
            await response(scope, receive, send)


def _detail(body: bytes) -> str:
    """Return Gradio's error message."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, LookupError, TypeError):
        return "the page rejected the request"
    return detail if isinstance(detail, str) else quote(detail)
