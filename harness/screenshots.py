"""`python -m harness.screenshots`: make the pictures in docs/images from a real stack and a real cutover."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from harness.browser import Chromium, chromium
from harness.load import hammering
from harness.page_actions import button, speak
from harness.stack import REPOSITORY, Stack, fresh_stack, wait_for

IMAGES = REPOSITORY / "docs/images"
WIDTH = 1280
RATE = 4.0
TEXT = "Good morning. This sentence was spoken by the release that went live a minute ago."


def cutover(stack: Stack) -> Path:
    """Release a commit while clients are served; return the cutover's report."""
    stack.release("the first")
    stack.run("build.cutover", "switch")
    sha = stack.release("the second")
    with hammering(stack.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        stack.run("build.cutover", "switch", sha, "--canary", "25,100", "--soak", "10")
    assert load.report.failed == [], load.report.summary()
    return stack.root / stack.run("build.cutover", "report").stdout.strip().splitlines()[-1]


def picture(page: Page, name: str, height: int) -> None:
    """Save the first `height` pixels of a page."""
    path = IMAGES / name
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.screenshot(path=path, animations="disabled", caret="hide")
    sys.stdout.write(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size / 1e3:.0f} kB\n")


def report_picture(browser: Chromium, report: Path) -> None:
    copy = browser.folder / "report.html"
    copy.write_bytes(report.read_bytes())
    with browser.window(WIDTH) as window:
        window.page.goto(copy.as_uri())
        picture(window.page, "report.png", 1400)


def page_picture(browser: Chromium, url: str) -> None:
    with browser.window(WIDTH) as window:
        window.page.goto(url)
        expect(button(window.page, "Speak")).to_be_visible()
        speak(window.page, TEXT)
        expect(window.page.locator(".note").filter(visible=True).first).to_contain_text(re.compile(r"\d+\.\d s"))
        picture(window.page, "page.png", 800)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="glm-tts-screenshots-") as scratch, fresh_stack(Path(scratch)) as stack:
        report = cutover(stack)
        with chromium(Path(scratch)) as browser:
            report_picture(browser, report)
            page_picture(browser, stack.url)


if __name__ == "__main__":
    main()
