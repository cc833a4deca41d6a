"""The web page at "/", made with Gradio; it speaks through the same queue as the API, in process.

Gradio is imported by `build` only: it costs seconds of CPU, and the HTTP server listens before that.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from fastapi import FastAPI

from service.errors import ServiceError
from service.guard import client_of
from service.speech import SPEED, Speech
from service.traffic import Traffic

# The scheduler decides who speaks; Gradio only has to keep one page's visitors from filling the service's queue.
_AT_A_TIME = 8
_QUEUE = 64

# Every spoken text leaves a WAV in the temporary folder (memory, in the container) until it is this old, in seconds.
_FILES_CHECKED_S, _FILES_KEPT_S = 60, 600

_EXAMPLE = "Good evening. A new release has just gone live, and nobody noticed."
_CSS = """
.gradio-container { max-width: 960px !important; margin: 0 auto !important; }
#title h1 { font-size: 1.9rem; margin: 1.2rem 0 .2rem; }
#title p, .about p { opacity: .75; }
#title p { font-size: 1.05rem; }
.about p { font-size: .9rem; }
"""


def build(speech: Speech, traffic: Traffic) -> FastAPI:
    """Make the page as an application of its own; its lifespan must be entered before it serves. Blocking."""
    with _no_stub_files():
        import gradio as gr  # noqa: PLC0415 - the module's docstring says why

    # Fonts of the visitor's system: Gradio's themes would fetch theirs from the internet.
    theme = gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["ui-monospace"])
    blocks = gr.Blocks(title="Speech", analytics_enabled=False, delete_cache=(_FILES_CHECKED_S, _FILES_KEPT_S))
    with blocks:
        _lay_out(gr, speech, traffic)
    blocks.queue(max_size=_QUEUE, default_concurrency_limit=_AT_A_TIME)
    app = FastAPI(openapi_url=None)
    gr.mount_gradio_app(
        app, blocks, "/", theme=theme, css=_CSS, footer_links=[], ssr_mode=False,
        run_history=False, enable_monitoring=False, pwa=False,
    )  # fmt: skip
    return app


def _lay_out(gr: Any, speech: Speech, traffic: Traffic) -> None:
    voices = [(voice.name, voice.id) for voice in speech.voices]
    gr.Markdown(
        "# Text to speech\nA neural voice that runs on this machine. Type something, and hear it spoken.",
        elem_id="title",
    )
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(_EXAMPLE, label="Text", lines=7, max_lines=16, max_length=speech.max_chars,
                              placeholder="What should be said?")  # fmt: skip
            with gr.Row():
                voice = gr.Dropdown(voices, value=voices[0][1], label="Voice", min_width=200)
                speed = gr.Slider(*SPEED, value=1.0, step=0.05, label="Speed", min_width=200)
            button = gr.Button("Speak", variant="primary", size="lg")
        with gr.Column(scale=2, min_width=300):
            audio = gr.Audio(label="Speech", interactive=False, autoplay=True, format="wav", buttons=["download"])
            details = gr.Markdown("Your speech appears here, to play and to download.", elem_classes="about")
    gr.Markdown("For programs: [API](/docs), compatible with OpenAI's speech endpoint.", elem_classes="about")

    async def speak(text: str, voice: str, speed: float, request: Any) -> tuple[tuple[int, Any], str]:
        try:
            utterance = speech.utterance(text, voice, speed, param="the text")
            client = client_of(request.request.scope)
            with client.request():
                client.say(utterance.text)
                spoken = await traffic.for_a_tab(utterance.text, speech.say(utterance))
        except ServiceError as error:
            raise gr.Error(_sentence(error.message), title="Not spoken", print_exception=False) from None
        rate = spoken.sample_rate
        return (rate, np.concatenate(spoken.pieces)), f"{spoken.seconds:.1f} seconds at {rate} Hz."

    speak.__annotations__["request"] = gr.Request  # by which Gradio knows what to pass
    gr.on([button.click, text.submit], speak, [text, voice, speed], [audio, details], api_name="speak")


def _sentence(message: str) -> str:
    return f"{message[0].upper()}{message[1:]}."


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
