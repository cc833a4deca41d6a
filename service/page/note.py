"""Notes of the page: text below the buttons that screen readers announce when it changes."""

from __future__ import annotations

from typing import Any

from service.page.scripts import read_script


def lay_out(gr: Any, text: Any) -> Any:
    """Create a note that shows `text` at first."""
    return gr.HTML(f"<p>{text}</p>", elem_classes="note", js_on_load=read_script("note"))
