"""The web page at "/", made with Gradio; it speaks through the same queue as the API, in process.

Gradio is imported by `build` only: it costs seconds of CPU, and the HTTP server listens before that.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from service.page import batch_tab, status_tab, text_tab
from service.page.style import COLOURS, CSS
from service.page.tab_jobs import Work
from service.synthesis.in_flight import Traffic
from service.synthesis.speech import Speech

# The scheduler decides who speaks; Gradio only has to keep one page's visitors from filling the service's queue.
_AT_A_TIME = 8
_QUEUE = 64

# Every spoken text leaves a file in the temporary folder (memory, in the container) until it is this old, in seconds.
_FILES_CHECKED_S, _FILES_KEPT_S = 60, 600


def build(speech: Speech, traffic: Traffic) -> FastAPI:
    """Make the page as an application of its own; its lifespan must be entered before it serves. Blocking."""
    with _no_stub_files():
        import gradio as gr  # noqa: PLC0415 - the module's docstring says why

    # Fonts of the visitor's system: Gradio's themes would fetch theirs from the internet.
    theme = gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["ui-monospace"])
    for name, colour in COLOURS.items():  # its `set` would also put back what the theme changed
        setattr(theme, name, colour)
    blocks = gr.Blocks(title="Speech", analytics_enabled=False, delete_cache=(_FILES_CHECKED_S, _FILES_KEPT_S))
    with blocks:
        _lay_out(gr, speech, Work(speech, traffic))
    # By itself it sums up all past calls after each one, by pandas, for a page of its own that is not served here.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
    blocks.queue(max_size=_QUEUE, default_concurrency_limit=_AT_A_TIME)
    app = FastAPI(openapi_url=None)
    gr.mount_gradio_app(
        app, blocks, "/", theme=theme, css=CSS, head=status_tab.SCRIPT, footer_links=[], ssr_mode=False,
        run_history=False, enable_monitoring=False, pwa=False,
    )  # fmt: skip
    return app


def _lay_out(gr: Any, speech: Speech, work: Work) -> None:
    gr.Markdown("# Text to speech\nA neural voice that runs on this machine.", elem_id="title")
    with gr.Tabs():
        with gr.Tab("Text"):
            text_tab.lay_out(gr, speech, work)
        with gr.Tab("Batch"):
            batch_tab.lay_out(gr, speech, work)
        with gr.Tab("Status"):
            gr.HTML(status_tab.PANEL)
    gr.Markdown("For programs: [API](/docs), compatible with OpenAI's speech endpoint.", elem_classes="about")


@contextlib.contextmanager
def _no_stub_files() -> Iterator[None]:
    """Keep Gradio from parsing its own sources to refresh its type stubs while it is imported by this thread.

    That takes 1.8 of 4.2 s of CPU, beside the live release's traffic; without a source file it leaves it out.
    """
    real, thread = inspect.getfile, threading.get_ident()

    def getfile(thing: Any) -> str:
        if threading.get_ident() == thread and getattr(thing, "__module__", "").startswith("gradio."):
            raise OSError("not looked for")
        return real(thing)

    inspect.getfile = getfile  # type: ignore[assignment]  # its own is a long union of types
    try:
        yield
    finally:
        inspect.getfile = real
