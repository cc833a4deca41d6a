"""A cutover during a synthesis in a web tab: the tab keeps its colour until the end and then moves."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from harness.browser import chromium
from harness.page_actions import expect_note, select_tab, speak
from harness.stack import PATIENCE_S, Stack, hooks, wait_for

pytestmark = pytest.mark.alone

# Minutes of audio: longer than the move of the traffic, shorter than the drain.
LONG = "It goes on with one more sentence, which is a little longer than it had to be. " * 50
SOME, DONE = re.compile(r"Sentence \d+ is ready"), re.compile(r"[\d.]+ seconds at 22050 Hz")
WIDTH = 1280


def syntheses(answers: list[tuple[str, str]]) -> list[str]:
    return [release for path, release in answers if path == "/gradio_api/queue/join"]


def release_shown(page: Page, wanted: str) -> None:
    select_tab(page, "Status")
    expect(page.get_by_role("definition").first).to_have_text(wanted)
    select_tab(page, "Text")


def test_a_busy_tab_finishes_on_the_old_release_and_then_moves_to_the_new_one(stack: Stack, tmp_path: Path) -> None:
    status = stack.status()
    old, new = status["colours"][status["live"]]["release"]["sha"], stack.release("beside a busy tab")
    answers: list[tuple[str, str]] = []  # path and release of each response
    verified, go = tmp_path / "verified", tmp_path / "go"
    waits = f'["sh", "-c", "touch {verified}; until [ -e {go} ]; do sleep 0.1; done"]'
    with chromium(tmp_path) as browser, browser.window(WIDTH) as window, hooks(stack, f"pre-switch = {waits}"):
        page = window.page
        page.on(
            "response", lambda answer: answers.append((urlsplit(answer.url).path, answer.headers.get("x-release", "")))
        )
        page.goto(stack.url)
        release_shown(page, old)
        with stack.start("build.cutover", "switch", new) as process:
            assert process.stdout
            wait_for("the gate's end", lambda: verified.exists() or process.poll() is not None, PATIENCE_S)
            assert process.poll() is None, process.stdout.read()
            speak(page, LONG)
            expect_note(page, SOME)
            go.touch()
            lines = iter(process.stdout.readline, "")
            assert any("draining" in line for line in lines), "traffic has moved"
            expect_note(page, SOME)
            assert syntheses(answers) == [old]
            release_shown(page, old)
            expect_note(page, DONE)
            output = process.stdout.read()
        assert process.returncode == 0, output
        recording = window.hear()
        assert recording.seconds > 60
        assert recording.peak > 0.05
        speak(page, "This is spoken by the new release.")
        expect_note(page, DONE)
        assert window.hear().seconds > 0.5
        assert syntheses(answers) == [old, new]
        release_shown(page, new)
        assert window.errors == []
