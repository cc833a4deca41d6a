"""A cutover while somebody's browser speaks: the tab keeps its colour until that is done, and then moves on."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from harness.browser import chromium
from harness.page_actions import speak, to_tab, told
from harness.stack import PATIENCE_S, Stack, hooks, wait_for

pytestmark = pytest.mark.alone

# Minutes of sound: more than can be spoken while traffic moves, and less than a drain has time for.
LONG = "It goes on with one more sentence, which is a little longer than it had to be. " * 50
SOME, DONE = re.compile(r"Sentence \d+ is spoken"), re.compile(r"[\d.]+ seconds at 22050 Hz")
DESK = 1280


def pressed(asked: list[tuple[str, str]]) -> list[str]:
    return [release for path, release in asked if path == "/gradio_api/queue/join"]


def release_shown(page: Page, wanted: str) -> None:
    to_tab(page, "Status")
    expect(page.get_by_role("definition").first).to_have_text(wanted)
    to_tab(page, "Text")


def test_a_tab_that_speaks_ends_on_the_old_release_and_goes_on_with_the_new(stack: Stack, tmp_path: Path) -> None:
    status = stack.status()
    old, new = status["colours"][status["live"]]["release"]["sha"], stack.release("beside a tab that speaks")
    asked: list[tuple[str, str]] = []  # path and release of what answered
    proven, go = tmp_path / "proven", tmp_path / "go"
    waits = f'["sh", "-c", "touch {proven}; until [ -e {go} ]; do sleep 0.1; done"]'
    with chromium(tmp_path) as browser, browser.window(DESK) as window, hooks(stack, f"pre-switch = {waits}"):
        page = window.page
        page.on(
            "response", lambda answer: asked.append((urlsplit(answer.url).path, answer.headers.get("x-release", "")))
        )
        page.goto(stack.url)
        release_shown(page, old)
        with stack.start("build.cutover", "switch", new) as process:
            assert process.stdout
            wait_for("the gate's end", lambda: proven.exists() or process.poll() is not None, PATIENCE_S)
            assert process.poll() is None, process.stdout.read()
            speak(page, LONG)
            told(page, SOME)
            go.touch()
            lines = iter(process.stdout.readline, "")
            assert any("draining" in line for line in lines), "traffic has moved"
            told(page, SOME)
            assert pressed(asked) == [old]
            release_shown(page, old)
            told(page, DONE)
            said = process.stdout.read()
        assert process.returncode == 0, said
        heard = window.hear()
        assert heard.seconds > 60
        assert heard.peak > 0.05
        speak(page, "This is said by the new one.")
        told(page, DONE)
        assert window.hear().seconds > 0.5
        assert pressed(asked) == [old, new]
        release_shown(page, new)
        assert window.errors == []
