"""The tab for a single text."""

from __future__ import annotations

import asyncio
import dataclasses
import html
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from service import formats
from service.access.guard import client_of
from service.audio.reference import check_prompt, read_prompt
from service.engine import Utterance
from service.errors import ServiceError
from service.page import files, player
from service.page import note as notes
from service.page.error_html import alert
from service.page.language import Labels, Translator, translator_for
from service.page.player import GrowingSpeech
from service.page.tab_jobs import StoppedError, TabJobs
from service.synthesis.speech import SPEED, Speech, Synthesis
from service.threads import untrusted

_EXAMPLE = "Good evening. A new release has just gone live without losing a request."
_FORMAT = formats.PAGE[0][1]


def lay_out(gr: Any, label: Labels, speech: Speech, jobs: TabJobs) -> None:
    """Create the controls of the tab and their event handlers."""
    about = speech.engine.describe()
    voices = [(voice.name, voice.id) for voice in speech.voices]
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=260):
            text = gr.Textbox(
                _EXAMPLE, label=label("Text"), lines=6, max_lines=16, placeholder=label("Type a text."),
                info=label("At most {count} characters. Press Shift+Enter to speak.", count=speech.max_chars),
                elem_id="text",
            )  # fmt: skip
            with gr.Row():
                voice = gr.Dropdown(voices, value=voices[0][1], label=label("Voice"), min_width=120, elem_id="voice")
                form = gr.Dropdown(formats.PAGE, value=_FORMAT, label=label("Format"), min_width=120)
            speed = gr.Slider(
                *SPEED, value=1.0, step=0.05, label=label("Speed"), buttons=[], visible=about.speeds, elem_id="speed"
            )
            with gr.Accordion(label("Clone a voice"), open=False, visible=about.prompts):
                prompt = gr.Audio(
                    sources=["upload", "microphone"], type="filepath", label=label("Recording"), buttons=[],
                    elem_id="prompt",
                )  # fmt: skip
                transcript = gr.Textbox(
                    label=label("Transcript"), info=label("What the recording says, word for word."),
                    elem_id="transcript",
                )  # fmt: skip
            with gr.Row():
                button = gr.Button(label("Speak"), variant="primary", size="lg", min_width=140, scale=2)
                stop = gr.Button(label("Stop"), size="lg", min_width=90, scale=1)
        with gr.Column(scale=2, min_width=260):
            # Above the player, so that a phone shows it without scrolling from the button.
            note = notes.lay_out(gr, label("Your speech appears here. It plays while it is made."))
            playing = player.lay_out(gr)
            file = gr.DownloadButton(label("Download"), visible=False)

    speak = _speak_handler(gr, speech, jobs, file.GRADIO_CACHE)
    inputs = [text, voice, speed, form, prompt, transcript]
    gr.on([button.click, text.submit], speak, inputs, [file, note, playing], api_name="speak", show_progress="hidden")
    add_stop_handler(gr, jobs, stop, note, "text")


def _speak_handler(gr: Any, speech: Speech, jobs: TabJobs, cache: str) -> Any:
    """Return the handler of the button; it keeps the files in the folder `cache`."""

    async def speak(
        text: str, voice: str, speed: float, form: str, prompt: str | None, transcript: str, request: Any
    ) -> AsyncIterator[tuple[Any, str, Any]]:
        say = translator_for(request.request.headers)
        spoken = Synthesis(speech.engine.sample_rate)
        growing = GrowingSpeech()
        download = gr.skip()
        try:
            utterance = await speech.read_utterance(text, voice, speed, param="the text")
            utterance = await _with_prompt(speech, utterance, prompt, transcript)
            client = client_of(request.request.scope)
            with client.request():
                client.charge(utterance.text)
                reports = jobs.follow(
                    request.session_hash, "text", utterance.text,
                    lambda report: jobs.speak(utterance, spoken, growing, form, say, report),
                )  # fmt: skip
                async for report in reports:
                    yield gr.DownloadButton(visible=False), f"<p>{report}</p>", growing.value or gr.skip()
            file = await asyncio.to_thread(files.write_file, spoken.content, f"speech.{form}", cache)
            download = gr.DownloadButton(value=file, visible=True)
            note = f"<p>{_summary(spoken, say)}</p>{_left_out(utterance, say)}"
        except ServiceError as error:
            note = alert(error, say)
        except StoppedError:
            note = f"<p>{say('Stopped.')}</p>"
        await growing.end()
        yield download, note, growing.value or gr.skip()

    speak.__annotations__["request"] = gr.Request  # Gradio reads the annotation to pass the request
    return speak


def _summary(spoken: Synthesis, say: Translator) -> str:
    facts = {"seconds": spoken.seconds, "rate": spoken.sample_rate, "size": len(spoken.content) / 1024}
    return say("{seconds:.1f} seconds at {rate} Hz, {size:.0f} KiB.", **facts)


def _left_out(utterance: Utterance, say: Translator) -> str:
    if not utterance.dropped:
        return ""
    return f"<p>{say('Left out of the text:')} <span lang='en'>{html.escape(utterance.dropped)}</span></p>"


def add_stop_handler(gr: Any, jobs: TabJobs, button: Any, note: Any, kind: str) -> None:
    """Make the button stop its own tab's work, however many tabs are busy."""

    async def stop(request: Any) -> Any:
        if jobs.stop(request.session_hash, kind):
            return gr.skip()
        say = translator_for(request.request.headers)
        return f"<p>{say('There is nothing to stop.')}</p>"

    stop.__annotations__["request"] = gr.Request
    button.click(stop, None, note, api_name=f"stop_{kind}", concurrency_limit=None, show_progress="hidden")


async def _with_prompt(speech: Speech, utterance: Utterance, prompt: str | None, transcript: str) -> Utterance:
    about = speech.engine.describe()
    if not (prompt and about.prompts):
        return utterance
    language = next(voice.language for voice in speech.voices if voice.id == utterance.voice)
    words = speech.read(transcript, language, "the transcript").text if transcript.strip() else ""
    recording = await untrusted(read_prompt, Path(prompt), "the recording", words)
    return dataclasses.replace(utterance, prompt=check_prompt(recording, about, "the recording", "the transcript"))
