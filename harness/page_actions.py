"""Actions of a visitor on the page, and expectations."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import FilePayload, Page, expect

from harness.browser import PATIENCE_MS

expect.set_options(timeout=PATIENCE_MS)


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def speak(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Text").fill(text)
    button(page, "Speak").click()


def select_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def choose_format(page: Page, name: str) -> None:
    page.get_by_role("combobox", name="Format").filter(visible=True).click()
    page.get_by_role("option", name=name).filter(visible=True).click()


def expect_note(page: Page, what: str | re.Pattern[str]) -> None:
    expect(page.locator(".note").filter(visible=True).first).to_contain_text(what)


def jsonl(*texts: str) -> FilePayload:
    lines = [json.dumps({"input_text": text, "output_name": f"line-{number}"}) for number, text in enumerate(texts)]
    return {"name": "tasks.jsonl", "mimeType": "application/jsonl", "buffer": "\n".join(lines).encode()}


def upload_file(page: Page, file: FilePayload, into: str) -> None:
    """Choose a file for an upload field."""
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=into).filter(visible=True).click()
    chooser.value.set_files([file])
    expect(page.get_by_role("button", name=into).filter(visible=True)).to_have_count(0)


def download(page: Page, role: Any, name: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.get_by_role(role, name=name).first.click()
    return download.value.suggested_filename, download.value.path().read_bytes()
