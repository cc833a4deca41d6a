"""Debian's Chromium in a container, driven by Playwright; it reaches no host but this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import docker
from playwright.sync_api import Browser, Page, TimeoutError, ViewportSize, sync_playwright

from harness import images
from harness.stack import PREFIX, wait_for

TAG = "glm-tts-test-browser"
BROWSER = """FROM {os_image}
RUN apt-get update -q \\
 && apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core \\
 && rm -rf /var/lib/apt/lists/*
"""
# The browser runs in a container and opens only our pages, so it needs no sandbox.
COMMAND = (
    *("chromium", "--headless=new", "--no-sandbox", "--no-first-run", "--hide-scrollbars"),
    # A fake microphone that beeps, with permission.
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    *("--force-device-scale-factor=1", "--remote-debugging-port=0", "--user-data-dir=/tmp/profile"),
    *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"),
)
# Chromium aborts loads when a network interface appears or disappears, as those of containers do. It detects that by
# netlink; without netlink it assumes a constant network.
WITHOUT_NETLINK = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ERRNO",
            "args": [{"index": 0, "value": socket.AF_NETLINK, "op": "SCMP_CMP_EQ"}],
        }
    ],
}
LISTENING = "DevTools listening on "
HEIGHT = 844
PATIENCE_MS = 60_000

Colours = Literal["light", "dark"]

# Record each player when it starts to play, and the parts of the audio that it is given.
KEEP_PLAYERS = """
window.players = [];
window.parts = [];
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () { players.push(this); parts.length = 0; return play.call(this); };
const append = SourceBuffer.prototype.appendBuffer;
SourceBuffer.prototype.appendBuffer = function (part) { parts.push(part); return append.call(this, part); };
"""
PLAYERS = "players.map(player => [player.currentSrc, player.readyState, player.networkState, player.error?.message])"
PLAYS = "players.at(-1)?.currentTime > 0"
COMPLETE = "Number.isFinite(players.at(-1).duration)"
# Decode all of it without the element: a duration does not prove that there is sound.
HEAR = """async () => {
    const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(await new Blob(parts).arrayBuffer());
    const peak = sound.getChannelData(0).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    return {seconds: sound.duration, element: players.at(-1).duration, peak};
}"""


@dataclass(frozen=True)
class Rendering:
    """A page at one width: errors of the browser, the result of `script`, and a picture of the whole page."""

    width: int
    errors: list[str]
    found: dict[str, Any]
    picture: bytes


@dataclass(frozen=True)
class PlayedAudio:
    """The audio played last: its seconds, the duration that the player reports, and the loudest sample."""

    seconds: float
    element: float
    peak: float


@dataclass(frozen=True)
class Window:
    """A page in a fresh context: messages of its console, and the addresses of its requests."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    addresses: set[str] = field(default_factory=set)

    @property
    def errors(self) -> list[str]:
        return [message for message in self.complaints if not message.startswith("warning")]

    def hear(self) -> PlayedAudio:
        """Wait until a player plays and has all of the audio; return the audio."""
        try:
            self.page.wait_for_function(PLAYS)
            self.page.wait_for_function(COMPLETE)
        except TimeoutError as error:
            error.add_note(f"players: {self.page.evaluate(PLAYERS)}; console: {self.complaints}")
            raise
        audio = PlayedAudio(**self.page.evaluate(HEAR))
        self.page.evaluate("players.length = 0")
        return audio


@dataclass(frozen=True)
class Chromium:
    """A running browser; it reads and writes files only in `folder`."""

    browser: Browser
    folder: Path

    @contextmanager
    def window(self, width: int, colours: Colours = "light", language: str = "en-US") -> Iterator[Window]:
        """Yield a page that is `width` pixels wide, in a browser that prefers `language`."""
        viewport: ViewportSize = {"width": width, "height": HEIGHT}
        context = self.browser.new_context(viewport=viewport, color_scheme=colours, locale=language)
        context.add_init_script(KEEP_PLAYERS)
        context.set_default_timeout(PATIENCE_MS)
        window = Window(context.new_page())
        window.page.on("console", lambda message: window.complaints.append(f"{message.type}: {message.text}"))
        window.page.on("pageerror", lambda error: window.complaints.append(f"error: {error}"))
        window.page.on(
            "request", lambda request: window.addresses.add(urlsplit(request.url.removeprefix("blob:")).netloc)
        )
        try:
            yield window
        finally:
            context.close()

    def look(self, page: Path, script: str, widths: Sequence[int]) -> list[Rendering]:
        """Open a file at each width and run the body of an async JavaScript function, which returns an object."""
        file = self.folder / f"{uuid.uuid4().hex}{page.suffix}"
        shutil.copyfile(page, file)
        renderings = []
        for width in widths:
            with self.window(width) as window:
                window.page.goto(f"file://{file}")
                found = window.page.evaluate(f"async () => {{ {script} }}")
                renderings.append(Rendering(width, window.complaints, found, window.page.screenshot(full_page=True)))
        return renderings


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """Run a browser for the block, in which the calling thread must not run an event loop.

    Downloads go to `folder`. The image stays: it has 1.1 GB and takes most of a minute to build.
    """
    images.build(TAG, BROWSER)
    client = docker.from_env()
    container = client.containers.run(
        TAG,
        COMMAND,
        detach=True,
        init=True,
        user=f"{os.getuid()}:{os.getgid()}",
        environment={"HOME": "/tmp"},  # noqa: S108 - in its container
        network_mode="host",
        shm_size="1g",
        security_opt=[f"seccomp={json.dumps(WITHOUT_NETLINK)}"],
        volumes=[f"{folder}:{folder}"],
        labels={"com.docker.compose.project": f"{PREFIX}{os.getpid()}-browser"},  # lets a later run remove it
    )
    try:
        with sync_playwright() as playwright:
            address = wait_for("the browser", lambda: _address(container))
            browser = playwright.chromium.connect_over_cdp(address, artifacts_dir=folder / "loaded")
            yield Chromium(browser, folder)
            browser.close()
    finally:
        container.remove(force=True)
        client.close()


def _address(container: Any) -> str:
    lines = container.logs().decode().splitlines()
    return next((line.removeprefix(LISTENING) for line in lines if line.startswith(LISTENING)), "")
