"""The HTML of "/": Gradio's, with the head of this page in place of Gradio's own, in the browser's language."""

from __future__ import annotations

import html
import json
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.page.language import Translator, translator_for
from service.page.scripts import read_script

TITLE, _DESCRIPTION = "Speech", "Type a text and listen to it."

_LANGUAGE, _START = '<html\n\tlang="en"', '<meta charset="utf-8" />'
_GRADIO_META = re.compile(r'\s*<meta\s+(?:property="og:|name="twitter:)[^>]*>')

# Gradio reads `navigator.language`. It shall show the language of the other texts, also for a browser in zh-HK or de.
_HEAD = """{start}
<title>{title}</title>
<meta name="description" content="{description}" />
<meta property="og:title" content="{title}" />
<meta property="og:description" content="{description}" />
<meta property="og:type" content="website" />
<link rel="icon" href="/favicon.ico" type="image/svg+xml" />
<script>
Object.defineProperty(navigator, "language", {{value: "{language}"}});
window.pageTexts = {texts};
{script}
</script>"""


class IndexPage:
    """Middleware that rewrites the response to "/"."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        say = translator_for(Headers(scope=scope))
        start: Message = {}
        body = b""

        async def hold(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                await _send(start, rewritten(body.decode(), say).encode(), send)

        await self.app(scope, receive, hold)


async def _send(start: Message, body: bytes, send: Send) -> None:
    headers = MutableHeaders(scope=start)
    headers["content-length"] = str(len(body))
    headers.add_vary_header("Accept-Language")
    await send(start)
    await send({"type": "http.response.body", "body": body})


def rewritten(page: str, say: Translator) -> str:
    """Return Gradio's page in the language of `say`, with this page's title, description and scripts."""
    texts = {"speech": say("Speech"), "status": say("Status"), "silent": say("No response; retrying.")}
    head = _HEAD.format(
        start=_START,
        title=html.escape(say(TITLE)),
        description=html.escape(say(_DESCRIPTION)),
        language=say.language.value,
        texts=json.dumps(texts),
        script=read_script("head"),
    )
    page = _GRADIO_META.sub("", page).replace(_LANGUAGE, _LANGUAGE.replace("en", say.language.value), 1)
    page = page.replace(f'"title":{json.dumps(TITLE)}', f'"title":{json.dumps(say(TITLE))}', 1)  # for Gradio's script
    return page.replace(_START, head, 1)
