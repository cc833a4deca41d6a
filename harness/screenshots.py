"""`python -m harness.screenshots`: make the pictures in docs/images from a real stack and a real cutover."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from harness.browser import Chromium, chromium
from harness.load import hammering
from harness.page_actions import button, speak
from harness.stack import REPOSITORY, Stack, fresh_stack, wait_for

IMAGES = REPOSITORY / "docs/images"
WIDTH = 1280
MARGIN = 14  # less than the space between two sections of a report
MOST_BYTES = 150_000
RATE = 2.0
TEXT = "Good morning. This sentence was spoken by the release that went live a minute ago."


def cutover(stack: Stack) -> Path:
    """Release a commit while clients are served; return the cutover's report."""
    stack.release("the first")
    stack.run("build.cutover", "switch")
    sha = stack.release("the second")
    with hammering(stack.url, RATE) as load:
        wait_for("traffic", lambda: len(load.report.samples) > RATE)
        # A busy machine must not end the cutover: the pictures measure nothing.
        patient = {"CUTOVER_CANARY_SLOWER": "20", "CUTOVER_CANARY_SAMPLES": "10"}
        stack.run("build.cutover", "switch", sha, "--canary", "25,100", "--soak", "10", check=True, **patient)
    assert load.report.failed == [], load.report.summary()
    return stack.root / stack.run("build.cutover", "report").stdout.strip().splitlines()[-1]


def save(picture: bytes, name: str) -> None:
    """Write a picture with 256 colours, which keeps it small in git; MAXCOVERAGE keeps the colours of small dots."""
    path = IMAGES / name
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(method=Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    assert path.stat().st_size <= MOST_BYTES, f"{path} is too large"
    sys.stdout.write(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size / 1e3:.0f} kB\n")


def until(page: Page, last: str) -> bytes:
    """A picture of a page from its top to the end of an element."""
    box = page.locator(last).first.bounding_box()
    assert box
    height = box["y"] + box["height"] + MARGIN
    return page.screenshot(
        full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height}, animations="disabled"
    )


def report_picture(browser: Chromium, report: Path) -> None:
    copy = browser.folder / "report.html"
    copy.write_bytes(report.read_bytes())
    with browser.window(WIDTH) as window:
        window.page.goto(copy.as_uri())
        save(until(window.page, "#traffic"), "report.png")


def page_picture(browser: Chromium, url: str) -> None:
    with browser.window(WIDTH) as window:
        window.page.goto(url)
        expect(button(window.page, "Speak")).to_be_visible()
        speak(window.page, TEXT)
        window.hear()
        window.page.wait_for_function("document.querySelector('audio').ended")
        window.page.mouse.move(0, 0)
        save(until(window.page, ".about"), "page.png")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="glm-tts-screenshots-") as scratch, fresh_stack(Path(scratch)) as stack:
        report = cutover(stack)
        with chromium(Path(scratch)) as browser:
            report_picture(browser, report)
            page_picture(browser, stack.url)


if __name__ == "__main__":
    main()
