"""The page's HTML, and who may read it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest

from service import page
from service.app import Service
from tests.unit.service.support import client_of

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]  # of Gradio's import


class Head(HTMLParser):
    """The language of a document, its title, and its meta elements in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.language: str | None = None
        self.title = ""
        self.meta: list[tuple[str, str]] = []
        self._in_title = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._in_title = tag == "title"
        if tag == "html":
            self.language = found["lang"]
        if tag == "meta" and (name := found.get("property") or found.get("name")):
            self.meta.append((name, found.get("content") or ""))

    def handle_data(self, data: str) -> None:
        self.title += data if self._in_title else ""

    def handle_endtag(self, tag: str) -> None:
        self._in_title &= tag != "title"


@pytest.fixture
async def visitor(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    service.front.page = page.build(service.speech, service.traffic)
    async with client_of(service) as client:
        yield client


@pytest.mark.parametrize(
    ("accepted", "language", "title"), [("en-GB", "en", "Speech"), ("zh-TW, en;q=0.5", "zh-CN", "语音合成")]
)
async def test_the_head_is_this_pages_own(visitor: httpx.AsyncClient, accepted: str, language: str, title: str) -> None:
    response = await visitor.get("/", headers={"Accept-Language": accepted})
    assert "Accept-Language" in response.headers["vary"]
    assert int(response.headers["content-length"]) == len(response.content)
    head = Head(response.text)
    assert (head.language, head.title) == (language, title)
    assert f'"title":{json.dumps(title)}' in response.text, "the title that Gradio's script sets"
    names = [name for name, _ in head.meta]
    assert sorted(set(names)) == sorted(names), "each once"
    assert not [name for name in names if name.startswith("twitter:")]
    assert dict(head.meta)["og:title"] == title
    leftovers = re.compile("gradio|click to try|{", re.I)
    assert not [content for _, content in head.meta if leftovers.search(content)]


async def test_the_manifest_and_the_icon_are_this_pages_own(visitor: httpx.AsyncClient) -> None:
    manifest = (await visitor.get("/manifest.json")).json()
    assert manifest["name"] == "Speech"
    icons = [await visitor.get(path) for path in ("/favicon.ico", manifest["icons"][0]["src"])]
    assert [icon.headers["content-type"] for icon in icons] == ["image/svg+xml"] * 2
    assert icons[0].text == icons[1].text


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info", "/gradio_api/upload"])
@pytest.mark.parametrize("host", ["speech.example", "127.0.0.1:7860"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_pages_of_other_origins_may_not_read_the_page(
    visitor: httpx.AsyncClient, path: str, host: str, method: str
) -> None:
    headers = {"Origin": "https://elsewhere.example", "Host": host, "Access-Control-Request-Method": "POST"}
    response = await visitor.request(method, path, headers=headers)
    allowed = [name for name in response.headers if name.startswith("access-control-allow-")]
    assert not [name for name in allowed if name.endswith(("-origin", "-credentials"))], response.headers
