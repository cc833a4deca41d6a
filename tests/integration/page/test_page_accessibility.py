"""The page for visitors who use a keyboard, a screen reader, a dark or calm display, or Chinese."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from harness.browser import PLAYS, Chromium, Colours
from harness.page import ServedPage
from harness.page_actions import button, expect_note, speak
from tests.integration.page.test_page import served, serving
from tests.integration.page.test_page_browser import FOUR, WIDTHS, browser, opened, window

__all__ = ("browser", "served", "serving", "window")  # fixtures
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's import leaves event loops open

AXE = Path(__file__).with_name("axe")
# Colours change over 150 ms, and axe compares those of the moment. What turns while the page waits has no end.
VIOLATIONS = """async () => {
    document.getAnimations().forEach(animation =>
        animation.effect.getComputedTiming().endTime === Infinity ? animation.cancel() : animation.finish());
    const {violations} = await axe.run(document, {resultTypes: ["violations"]});
    return violations.flatMap(({id, nodes}) => nodes.map(node => `${id}: ${node.html.slice(0, 200)}`));
}"""
# The player has several controls inside, whose focus the browser shows itself.
FOCUS = """() => {
    if (document.activeElement.matches("audio")) return [true, "solid", 2];
    const at = document.activeElement, style = getComputedStyle(at);
    return [at.matches(":focus-visible"), style.outlineStyle, parseFloat(style.outlineWidth)];
}"""
MOVING = """() => document.getAnimations().filter(animation => animation.playState === "running").length"""
TOO_MANY_TABS = 60

# English that stays: names, an example, technical terms, and what only the service knows (in English, marked as such).
ENGLISH_IN_CHINESE = re.compile(
    r"Joe|MP3|WAV|FLAC|Shift\+Enter|OpenAI|API|JSON|zip|voice|Hz|KiB|GPU|CPU|test-1|fake|Good evening.*request\.|"
    r'\{"input_text".*?\}'
)


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe, the checker of accessibility, installed from its lock."""
    if not shutil.which("npm"):
        pytest.fail("npm is missing; this test checks the page with axe; run scripts/bootstrap")
    folder = tmp_path_factory.mktemp("axe")
    shutil.copytree(AXE, folder, dirs_exist_ok=True)
    argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing(browser: Chromium, served: ServedPage, axe: str, width: int, colours: Colours) -> None:
    with opened(browser, served, width, colours) as window:
        page = window.page
        page.evaluate(axe)
        expect(button(page, "Speak")).to_be_visible()
        expect(page.get_by_text("Loading...")).to_have_count(0)
        found = {"start": page.evaluate(VIOLATIONS)}
        speak(page, FOUR)
        expect_note(page, "seconds at")
        found["spoken"] = page.evaluate(VIOLATIONS)
        page.get_by_role("button", name="Clone a voice").click()
        speak(page, " ")
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("empty")
        found["error"] = page.evaluate(VIOLATIONS)
        page.get_by_role("tab", name="Batch").click()
        button(page, "Speak all").click()
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Choose a task file first")
        found["batch"] = page.evaluate(VIOLATIONS)
        page.get_by_role("tab", name="Status").click()
        expect(page.get_by_role("definition").first).to_have_text("test-1")
        found["status"] = page.evaluate(VIOLATIONS)
        assert {state: problems for state, problems in found.items() if problems} == {}


def tab_to(page: Page, script: str, key: str = "Tab") -> None:
    """Press Tab until the focused element `at` fulfils `script`; each element on the way shows its focus."""
    for _ in range(TOO_MANY_TABS):
        page.keyboard.press(key)
        if page.evaluate("document.activeElement === document.body"):
            continue
        visible, style, width = page.evaluate(FOCUS)
        where = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        assert (visible, style) == (True, "solid"), where
        assert width >= 2, where
        if page.evaluate(f"(at => {script})(document.activeElement)"):
            return
    pytest.fail(f"the Tab key reaches no element with {script}")


def text_of(name: str) -> str:
    return f"at.matches('button, [role=tab]') && at.textContent.trim() === {json.dumps(name)}"


def test_the_whole_page_works_by_keyboard(page_at: Page, served: ServedPage) -> None:
    page = page_at
    tab_to(page, "at.matches('#text textarea')")
    page.keyboard.press("Control+A")
    page.keyboard.type(" ")
    tab_to(page, text_of("Speak"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("empty")
    expect(page.locator("#text textarea")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type(FOUR)
    tab_to(page, "at.matches('#speed input[type=range]')")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Tab")
    tab_to(page, "at.matches('#text textarea')", "Shift+Tab")
    page.keyboard.press("Shift+Enter")
    expect_note(page, "0.4 seconds")
    page.wait_for_function(PLAYS)
    assert served.engine.last
    assert served.engine.last.speed > 1
    tab_to(page, "at.matches('audio')")
    tab_to(page, text_of("Download"))
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "speech.mp3"
    tab_to(page, text_of("Text"), "Shift+Tab")
    for name in ("Batch", "Status"):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name=name)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("definition").first).to_have_text("test-1")
    tab_to(page, "at.matches('a[href=\"/docs\"]')")


@pytest.fixture
def page_at(browser: Chromium, served: ServedPage) -> Iterator[Page]:
    with opened(browser, served) as window:
        yield window.page


def test_progress_and_errors_are_announced(page_at: Page, served: ServedPage) -> None:
    page = page_at
    status = page.get_by_role("status").filter(has_text=re.compile(r"\S"))
    served.engine.gate.clear()
    served.engine.ungated = 1
    speak(page, FOUR)
    expect(status).to_have_text(re.compile("Next in the queue|Sentence 1 is ready"))
    served.engine.gate.set()
    expect(status).to_have_text(re.compile("0.4 seconds at 8000 Hz"))
    page.evaluate(
        """window.inserted = 0;
        new MutationObserver(changes => changes.forEach(change => change.addedNodes.forEach(node => {
            inserted += node.matches?.("[role=alert]") ? 1 : 0;
        }))).observe(document.querySelector(".note"), {childList: true, subtree: true});"""
    )
    speak(page, " ")
    page.wait_for_function("inserted > 0")
    before = page.evaluate("inserted")
    button(page, "Speak").click()
    page.wait_for_function(f"inserted > {before}")
    expect(status).to_have_count(0)


def test_nothing_moves_where_the_visitor_wants_no_motion(page_at: Page) -> None:
    page = page_at
    page.emulate_media(reduced_motion="reduce")
    button(page, "Speak").hover()
    assert page.evaluate(MOVING) == 0
    assert page.evaluate("matchMedia('(prefers-reduced-motion)').matches")
    assert page.evaluate("getComputedStyle(document.querySelector('button.primary')).transitionDuration") == "0s"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_chinese_browser_gets_a_chinese_page(browser: Chromium, served: ServedPage, width: int) -> None:
    with opened(browser, served, width, language="zh-HK") as window:
        page = window.page
        texts = [page.inner_text("body")]
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        expect(page).to_have_title("语音合成")
        page.get_by_role("textbox", name="文字").first.fill(FOUR)
        button(page, "朗读").click()
        expect_note(page, "0.4 秒，8000 Hz")
        texts.append(page.locator(".note").first.inner_text())
        assert page.locator("audio").get_attribute("aria-label") == "语音合成"
        page.get_by_role("button", name="克隆音色").click()
        texts.append(page.inner_text("[role=tabpanel]"))
        page.get_by_role("textbox", name="文字").first.fill("Привет")
        button(page, "朗读").click()
        alert = page.get_by_role("alert").filter(visible=True)
        expect(alert).to_contain_text("文字中有该音色无法朗读的字符。请删除这些字符，或改写成文字。")
        expect(alert.locator("[lang=en]")).to_contain_text("CYRILLIC")
        page.get_by_role("tab", name="批量").click()
        button(page, "全部朗读").click()
        expect(alert).to_have_text("请先选择任务文件。")
        texts.append(page.inner_text("[role=tabpanel]:visible"))
        page.get_by_role("tab", name="状态").click()
        expect(page.get_by_role("term").filter(has_text="版本")).to_be_visible()
        texts.append(page.inner_text("#status"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        left = re.findall(r"[A-Za-z]{2,}", ENGLISH_IN_CHINESE.sub("", "\n".join(texts).replace(FOUR, "")))
        assert left == [], "English in the Chinese page"


def test_any_other_browser_gets_an_english_page(browser: Chromium, served: ServedPage) -> None:
    with opened(browser, served, language="de-DE") as window:
        expect(window.page.locator("html")).to_have_attribute("lang", "en")
        window.page.get_by_role("tab", name="Batch").click()
        expect(window.page.get_by_text("Click to Upload")).to_be_visible()
