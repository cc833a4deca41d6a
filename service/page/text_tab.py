"""The tab for a single text."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from service import formats
from service.access.guard import client_of
from service.audio.reference import check_prompt, read_prompt
from service.engine import Utterance
from service.errors import ServiceError
from service.page import files
from service.page.error_html import alert
from service.page.style import WAVE
from service.page.tab_jobs import StoppedError, TabJobs
from service.synthesis.speech import SPEED, Speech, Synthesis
from service.text_check import check_text

_EXAMPLE = "Good evening. A new release has just gone live without losing a request."


def lay_out(gr: Any, speech: Speech, jobs: TabJobs) -> None:
    """Create the controls of the tab and their event handlers."""
    about = speech.engine.describe()
    voices = [(voice.name, voice.id) for voice in speech.voices]
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            text = gr.Textbox(
                _EXAMPLE, label="Text", lines=6, max_lines=16, placeholder="Type a text.",
                info=f"At most {speech.max_chars} characters.",
            )  # fmt: skip
            with gr.Row():
                voice = gr.Dropdown(voices, value=voices[0][1], label="Voice", min_width=140)
                form = gr.Dropdown(formats.PAGE, value="wav", label="Format", min_width=140)
            speed = gr.Slider(*SPEED, value=1.0, step=0.05, label="Speed", buttons=[], visible=about.speeds)
            with gr.Accordion("Clone a voice", open=False, visible=about.prompts):
                prompt = gr.Audio(
                    sources=["upload", "microphone"], type="filepath", label="Recording", buttons=[], elem_id="prompt"
                )
                transcript = gr.Textbox(label="Transcript", info="What the recording says, word for word.")
            with gr.Row():
                button = gr.Button("Speak", variant="primary", size="lg", min_width=140, scale=2)
                stop = gr.Button("Stop", size="lg", min_width=90, scale=1)
        with gr.Column(scale=2, min_width=300):
            # Above the player, so that a phone shows it without scrolling from the button.
            note = gr.HTML("<p>Your speech appears here. You can play and download it.</p>", elem_classes="note")
            audio = gr.Audio(
                label="Speech", interactive=False, autoplay=True, buttons=["download"], elem_id="speech",
                waveform_options=gr.WaveformOptions(**WAVE),
            )  # fmt: skip

    speak = _speak_handler(gr, speech, jobs, audio.GRADIO_CACHE)
    inputs = [text, voice, speed, form, prompt, transcript]
    gr.on([button.click, text.submit], speak, inputs, [audio, note], api_name="speak", show_progress="hidden")
    add_stop_handler(gr, jobs, stop, "text")


def _speak_handler(gr: Any, speech: Speech, jobs: TabJobs, cache: str) -> Any:
    """Return the handler of the button; it keeps the speech in the folder `cache`."""

    async def speak(
        text: str, voice: str, speed: float, form: str, prompt: str | None, transcript: str, request: Any
    ) -> AsyncIterator[tuple[Any, str]]:
        spoken = Synthesis(speech.engine.sample_rate)
        try:
            utterance = speech.utterance(text, voice, speed, param="the text")
            utterance = await _with_prompt(speech, utterance, prompt, transcript)
            client = client_of(request.request.scope)
            with client.request():
                client.charge(utterance.text)
                reports = jobs.follow(
                    request.session_hash, "text", utterance.text,
                    lambda report: jobs.speak(utterance, spoken, form, report),
                )  # fmt: skip
                async for report in reports:
                    yield gr.skip(), f"<p>{report}</p>"
            file = await asyncio.to_thread(files.write_file, spoken.content, f"speech.{form}", cache)
        except ServiceError as error:
            yield gr.skip(), alert(error)
            return
        except StoppedError:
            yield gr.skip(), "<p>Stopped.</p>"
            return
        size = f"{len(spoken.content) / 1024:.0f} KiB"
        yield file, f"<p>{spoken.seconds:.1f} seconds at {spoken.sample_rate} Hz, {size}.</p>"

    speak.__annotations__["request"] = gr.Request  # Gradio reads the annotation to pass the request
    return speak


def add_stop_handler(gr: Any, jobs: TabJobs, button: Any, kind: str) -> None:
    """Make the button stop its own tab's work, however many tabs are busy."""

    async def stop(request: Any) -> None:
        if not jobs.stop(request.session_hash, kind):
            gr.Info("There is nothing to stop.")

    stop.__annotations__["request"] = gr.Request
    button.click(stop, api_name=f"stop_{kind}", concurrency_limit=None, show_progress="hidden")


async def _with_prompt(speech: Speech, utterance: Utterance, prompt: str | None, transcript: str) -> Utterance:
    about = speech.engine.describe()
    if not (prompt and about.prompts):
        return utterance
    language = next(voice.language for voice in speech.voices if voice.id == utterance.voice)
    words = check_text(transcript, language, speech.max_chars, "the transcript") if transcript.strip() else ""
    recording = await asyncio.to_thread(read_prompt, Path(prompt), "the recording", words)
    return dataclasses.replace(utterance, prompt=check_prompt(recording, about, "the recording", "the transcript"))
