"""The page in a browser, at the widths of a phone and of a desktop."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from playwright.sync_api import Page, expect

from harness.browser import COMPLETE, PLAYS, Chromium, Colours, Window, chromium
from harness.page import ServedPage
from harness.page_actions import button, choose_format, download, expect_note, jsonl, select_tab, speak, upload_file
from tests.integration.page.test_page import served, serving

__all__ = ("served", "serving")  # fixtures
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's import leaves event loops open

WIDTHS = (320, 1280)
INSIDE_THE_PLAYER = 12  # tab stops of the browser, at most
TABS = ("Text", "Batch", "Status")
FOUR = "One. Two. Three. Four."  # the engine returns 0.1 s of audio for each

# Controls that keyboard and touch must reach. Of the tabs and of the options of a list only one has a tab stop.
CONTROLS = """() => [...document.querySelectorAll("button, a[href], input, textarea, select, [role=combobox]")]
    .filter(each => each.checkVisibility({visibilityProperty: true, opacityProperty: true}) && !each.disabled
        && each.getClientRects().length && each.type !== "file" && each.tabIndex >= 0)"""
NAMES = f"({CONTROLS})().map(each => each.dataset.reached ? '' : each.outerHTML.slice(0, 200)).filter(Boolean)"
OUTSIDE = f"""({CONTROLS})().filter(each => {{
    const box = each.getBoundingClientRect();
    return box.left < 0 || box.right > innerWidth || box.width < 8 || box.height < 8;
}}).map(each => each.outerHTML.slice(0, 200))"""
MARK = """() => { const at = document.activeElement;
    for (let each = at; each && each !== document.body; each = each.parentElement)
        if (each.matches("button, a")) each.dataset.reached = 1;
    at.dataset.reached = 1; }"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@contextmanager
def opened(
    browser: Chromium,
    served: ServedPage,
    width: int = WIDTHS[1],
    colours: Colours = "light",
    language: str = "en-US",
) -> Iterator[Window]:
    """Open the page in a window; fail if its console has errors or it sends requests to another host."""
    with browser.window(width, colours, language) as window:
        window.page.goto(str(served.client.base_url))
        expect(window.page.get_by_role("textbox").filter(visible=True).first).to_be_visible()
        yield window
        assert window.errors == []
        assert window.addresses == {served.client.base_url.netloc.decode()}


@pytest.fixture
def window(browser: Chromium, served: ServedPage) -> Iterator[Window]:
    with opened(browser, served) as window:
        yield window


@pytest.fixture
def page(window: Window) -> Page:
    return window.page


@pytest.mark.parametrize("width", WIDTHS)
def test_pressing_the_button_plays_the_typed_text(browser: Chromium, served: ServedPage, width: int) -> None:
    with opened(browser, served, width) as window:
        speak(window.page, FOUR)
        expect_note(window.page, "0.4 seconds at 8000 Hz")
        playback = window.hear()
    assert served.engine.spoken == ["One", "Two", "Three", "Four"]
    assert playback.seconds == pytest.approx(0.4, abs=0.05)
    assert playback.element == pytest.approx(0.4, abs=0.05)
    assert playback.peak > 0.2


def test_speech_plays_while_it_is_made(window: Window, served: ServedPage) -> None:
    served.engine.gate.clear()
    served.engine.ungated = 20
    speak(window.page, "Word. " * 40)
    window.page.wait_for_function(PLAYS)
    assert not window.page.evaluate(COMPLETE)
    assert served.service.scheduler.jobs == 1
    served.engine.gate.set()
    assert window.hear().seconds == pytest.approx(4, abs=0.05)


def test_stopped_speech_can_be_played_to_where_it_was_stopped(window: Window, served: ServedPage) -> None:
    served.engine.gate.clear()
    served.engine.ungated = 20
    speak(window.page, "Word. " * 40)
    window.page.wait_for_function(PLAYS)
    expect_note(window.page, "Sentence 20 is ready")
    button(window.page, "Stop").click()
    expect_note(window.page, "Stopped.")
    assert window.hear().seconds < 3


def test_texts_play_and_download_in_each_format(window: Window) -> None:
    for form in ("WAV", "FLAC", "MP3"):
        choose_format(window.page, form)
        speak(window.page, FOUR)
        assert window.hear().peak > 0.2
        expect_note(window.page, "0.4 seconds")
        name, content = download(window.page, "button", "Download")
        found = soundfile.info(io.BytesIO(content))
        assert (name, found.format) == (f"speech.{form.lower()}", form)
        assert 0.4 <= found.duration < 0.6  # MP3 has whole frames, with silence around the speech


def test_speed_and_the_return_key_take_effect(page: Page, served: ServedPage) -> None:
    page.get_by_role("spinbutton", name="Speed").fill("2")
    page.get_by_role("textbox", name="Text").fill("Quick.")
    page.get_by_role("textbox", name="Text").press("Shift+Enter")
    expect_note(page, "seconds at")
    assert served.engine.last
    assert served.engine.last.speed == 2


def test_queue_position_and_progress_are_shown_and_stop_works(page: Page, served: ServedPage) -> None:
    served.engine.gate.clear()
    others = [threading.Thread(target=list, args=(served.speak(f"Other {n}."),)) for n in range(2)]
    for number, other in enumerate(others):
        other.start()
        served.until_busy_with(number + 1)
    speak(page, FOUR)
    expect_note(page, "Waiting in the queue with 1 ahead.")
    button(page, "Stop").click()
    expect_note(page, "Stopped.")
    served.until_busy_with(2)
    served.engine.gate.set()
    for other in others:
        other.join()
    served.engine.gate.clear()
    served.engine.ungated = 1
    speak(page, FOUR)
    expect_note(page, "Sentence 1 is ready: 0.1 s so far.")
    served.engine.gate.set()
    expect_note(page, "0.4 seconds")


def test_an_error_stays_visible_until_the_next_valid_text(window: Window, served: ServedPage) -> None:
    page = window.page
    alert = page.get_by_role("alert").filter(visible=True)
    for text, why in ((" ", "The text is empty. Type"), ("x" * 5000, "at most 4096"), ("Привет", "CYRILLIC")):
        speak(page, text)
        expect(alert).to_contain_text(why)
    assert served.engine.spoken == []
    page.get_by_role("button", name="Clone a voice").click()
    upload_file(page, {"name": "prompt.wav", "mimeType": "audio/wav", "buffer": b"no audio"}, "Drop Audio Here")
    speak(page, FOUR)
    expect(alert).to_contain_text(
        "The recording is not readable audio; send wav, flac, ogg, aiff or mp3. Choose another"
    )
    button(page, "Clear").click()
    speak(page, FOUR)
    expect_note(page, "0.4 seconds")
    expect(alert).to_have_count(0)
    # The browser reports the invalid recording, too.
    window.complaints[:] = [message for message in window.complaints if "MediaError" not in message]


def test_a_microphone_recording_is_used_as_the_voice(page: Page, served: ServedPage) -> None:
    page.get_by_role("button", name="Clone a voice").click()
    page.get_by_role("button", name="Record audio").click()
    button(page, "Record").click()
    expect(page.locator("#prompt")).to_contain_text("0:04")  # the minimum is 3 s
    button(page, "Stop").first.click()
    page.get_by_role("textbox", name="Transcript").fill("What the recording says.")
    speak(page, FOUR)
    expect_note(page, "0.4 seconds")
    assert served.engine.last
    prompt = served.engine.last.prompt
    assert prompt
    assert prompt.text == "What the recording says."
    assert 3 <= prompt.seconds <= 10
    assert abs(prompt.samples).max() > 300


def test_an_invalid_task_file_is_rejected_and_a_valid_one_becomes_a_zip(page: Page, served: ServedPage) -> None:
    select_tab(page, "Batch")
    button(page, "Speak all").click()
    alert = page.get_by_role("alert").filter(visible=True)
    expect(alert).to_contain_text("Choose a task file first")
    good = jsonl(FOUR, "Two.", "Three.")
    upload_file(page, {**good, "buffer": good["buffer"] + b"\n{]"}, "Click to upload")
    button(page, "Speak all").click()
    expect(alert).to_contain_text("Line 4: is not JSON")
    assert served.engine.spoken == []
    button(page, "Clear").click()
    served.engine.gate.clear()
    served.engine.ungated = 1
    upload_file(page, good, "Click to upload")
    choose_format(page, "WAV")
    button(page, "Speak all").click()
    expect_note(page, "0 of 3 lines")
    progress = page.get_by_role("progressbar", name="Progress")
    expect(progress).to_have_js_property("value", 0)
    served.engine.gate.set()
    expect_note(page, "Done.")
    expect(progress).to_have_js_property("value", 3)
    name, content = download(page, "button", "Download the zip")
    assert name == "speech.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        lengths = {name: soundfile.info(io.BytesIO(file.read(name))).duration for name in file.namelist()}
    assert lengths == pytest.approx({"line-0.wav": 0.4, "line-1.wav": 0.1, "line-2.wav": 0.1})


def test_a_stopped_batch_returns_its_clips_and_the_remaining_lines(page: Page, served: ServedPage) -> None:
    select_tab(page, "Batch")
    served.engine.gate.clear()
    served.engine.ungated = 1
    upload_file(page, jsonl("One.", "Two. Not three.", "Four."), "Click to upload")
    choose_format(page, "WAV")
    button(page, "Speak all").click()
    expect_note(page, "1 of 3 lines")
    button(page, "Stop").filter(visible=True).click()
    expect_note(page, "Stopped. The zip has the finished clips, and a task file")
    with zipfile.ZipFile(io.BytesIO(download(page, "button", "Download the zip")[1])) as file:
        assert file.namelist() == ["line-0.wav", "rest.jsonl"]
        assert [json.loads(line)["output_name"] for line in file.read("rest.jsonl").splitlines()] == [
            "line-1",
            "line-2",
        ]


def test_the_status_tab_updates(page: Page, served: ServedPage) -> None:
    select_tab(page, "Status")

    def row(name: str) -> Any:
        return page.get_by_role("term").filter(has_text=re.compile(f"^{name}$")).locator("+ dd")

    expect(row("Release")).to_have_text("test-1")
    expect(row("Engine")).to_have_text("fake")
    expect(row("Phase")).to_have_text("ready")
    expect(row("Waiting")).to_have_text("0 (at most 128)")
    served.engine.gate.clear()
    others = [threading.Thread(target=list, args=(served.speak(f"Other {n}."),)) for n in range(2)]
    for other in others:
        other.start()
    served.until_busy_with(2)
    expect(row("Waiting")).to_have_text("1 (at most 128)")
    expect(row("In progress")).to_have_text("1 (at most 1)")
    served.engine.gate.set()
    expect(row("Waiting")).to_have_text("0 (at most 128)")
    for other in others:
        other.join()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_and_every_control_is_reachable(
    browser: Chromium, served: ServedPage, tmp_path: Path, width: int, colours: Colours
) -> None:
    with opened(browser, served, width, colours) as window:
        page = window.page
        speak(page, "A sentence.")
        window.hear()
        assert page.locator("audio").evaluate("player => getComputedStyle(player).colorScheme") == colours
        page.get_by_role("button", name="Clone a voice").click()
        for tab in TABS:
            select_tab(page, tab)
            if tab == "Batch":
                upload_file(page, jsonl("One."), "Click to upload")
                button(page, "Speak all").click()
                expect_note(page, "Done.")
                expect(button(page, "Download the zip")).to_be_visible()
            if tab == "Status":
                expect(page.get_by_role("definition").first).to_have_text("test-1")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
            assert page.evaluate(OUTSIDE) == []
            check_tab_order(page)
            picture = tmp_path / f"{tab}-{width}-{colours}.png"
            page.screenshot(path=picture, full_page=True)
            print(picture)


def check_tab_order(page: Page) -> None:
    """Check that the Tab key reaches every control of the visible tab."""
    page.evaluate("document.activeElement.blur()")
    for _ in range(page.evaluate(f"({CONTROLS})().length") + INSIDE_THE_PLAYER):
        page.keyboard.press("Tab")
        page.evaluate(MARK)
    assert page.evaluate(NAMES) == []
