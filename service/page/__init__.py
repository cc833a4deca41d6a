"""The web page at "/", made with Gradio; it uses the same queue as the API, in the same process.

Only `build` imports Gradio: that takes seconds of CPU, and the HTTP server listens before it.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from service.page import batch_tab, status_tab, text_tab
from service.page.index_page import TITLE, IndexPage
from service.page.language import Labels
from service.page.style import COLOURS, CSS
from service.page.tab_jobs import TabJobs
from service.synthesis.in_flight import InFlight
from service.synthesis.speech import Speech

# The scheduler orders the syntheses; Gradio only keeps one page's visitors from filling the service's queue.
_CONCURRENT_EVENTS = 8
_MAX_QUEUED_EVENTS = 64
# Gradio looks for events of the page every millisecond, which takes 7 % of a core without any. _POLL_S is its value for
# Windows. The page uses no progress bar of Gradio's, which has a loop of its own.
_POLL_S, _PROGRESS_POLL_S = 0.05, 1.0

# Every synthesis leaves a file in the temporary folder (memory, in the container) until it is this old (seconds).
_FILES_CHECKED_S, _FILES_LIFETIME_S = 60, 600

_ICON = Path(__file__).parent / "icon.svg"


def build(speech: Speech, traffic: InFlight) -> FastAPI:
    """Build the page as a separate application; enter its lifespan before it serves. Blocking."""
    with _no_stub_files():
        import gradio as gr  # noqa: PLC0415 - the module's docstring says why

    # Fonts of the visitor's system: Gradio's themes would fetch theirs from the internet.
    theme = gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["ui-monospace"])
    for name, colour in COLOURS.items():  # Gradio's `set` would also reset the values that the theme changed
        setattr(theme, name, colour)
    blocks = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(_FILES_CHECKED_S, _FILES_LIFETIME_S))
    label = Labels(gr)
    with blocks:
        _lay_out(gr, label, speech, TabJobs(speech, traffic))
    # By default Gradio summarizes all past calls with pandas after each one, for a page that is not served here.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
    blocks.queue(max_size=_MAX_QUEUED_EVENTS, default_concurrency_limit=_CONCURRENT_EVENTS)
    queue = blocks._queue
    queue.sleep_when_free, queue.progress_update_sleep_when_free = _POLL_S, _PROGRESS_POLL_S
    app = FastAPI(openapi_url=None)
    app.add_middleware(IndexPage)
    gr.mount_gradio_app(
        app, blocks, "/", theme=theme, css=CSS, i18n=label.i18n, favicon_path=str(_ICON), footer_links=[],
        ssr_mode=False, run_history=False, enable_monitoring=False, pwa=False,
    )  # fmt: skip
    return app


def _lay_out(gr: Any, label: Labels, speech: Speech, jobs: TabJobs) -> None:
    gr.Markdown(label("# Text to speech\nType a text and listen to it."), elem_id="title")
    with gr.Tabs():
        with gr.Tab(label("Text")):
            text_tab.lay_out(gr, label, speech, jobs)
        with gr.Tab(label("Batch")):
            batch_tab.lay_out(gr, label, speech, jobs)
        with gr.Tab(label("Status")):
            status_tab.lay_out(gr, label)
    about = label("For programs, there is an [API](/docs) that is compatible with OpenAI's speech endpoint.")
    gr.Markdown(about, elem_classes="about")


@contextlib.contextmanager
def _no_stub_files() -> Iterator[None]:
    """Prevent Gradio from parsing its own sources to refresh its type stubs during an import in this thread.

    The parsing takes 1.8 of 4.2 s of CPU and slows down the live release. Gradio skips a class without a source file.
    """
    real, thread = inspect.getfile, threading.get_ident()

    def getfile(thing: Any) -> str:
        if threading.get_ident() == thread and getattr(thing, "__module__", "").startswith("gradio."):
            raise OSError("skip the source file")
        return real(thing)

    inspect.getfile = getfile  # type: ignore[assignment]  # its own type is a long union
    try:
        yield
    finally:
        inspect.getfile = real
