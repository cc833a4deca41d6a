"""The tab for task files: the whole file is checked first, then synthesized line by line with low priority."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service import formats
from service.access.guard import client_of
from service.access.rate_limits import Client
from service.errors import QueueFullError, RateLimitedError, ServiceError, StorageFullError, UnavailableError
from service.page import files
from service.page.error_html import alert, describe
from service.page.tab_jobs import Report, StoppedError, TabJobs
from service.page.tasks import MAX_CHARS, MAX_LINES, BadTasksError, PageTask, read_tasks
from service.page.text_tab import add_stop_handler
from service.synthesis.speech import Speech

MAX_FILE = 1024 * 1024
_MAX_LISTED = 20
_RETRY_S = 1  # seconds until a retry if the error names none

_ABOUT = f"""A task file has one JSON object per line, up to {MAX_LINES} lines and {MAX_CHARS:,} characters of text:
```json
{{"input_text": "Good morning.", "output_name": "greeting"}}
```
A line may also name a `voice`. The whole file is checked before the first line is spoken. Single texts have priority
over batches."""


@dataclass
class Batch:
    """A checked task file and its zip; `failed` lists the failed lines with the reason."""

    tasks: list[PageTask]
    form: str
    zip: Path
    client: Client
    done: int = 0
    audio_s: float = 0.0
    failed: list[dict[str, str]] = field(default_factory=list)

    async def run(self, speech: Speech, report: Report) -> None:
        """Synthesize the remaining lines; raise UnavailableError if the service stops. The zip is always complete."""
        report(self.progress())
        for task in self.tasks[self.done :]:
            try:
                await self._speak(task, speech)
            except UnavailableError:
                raise
            except ServiceError as error:
                self.failed.append({"output_name": task.file, "error": error.message})
            self.done += 1
            report(self.progress())

    async def _speak(self, task: PageTask, speech: Speech) -> None:
        charged = False
        while True:
            try:
                if not charged:
                    self.client.charge(task.utterance.text)
                    charged = True
                spoken = await speech.synthesize(task.utterance, self.form)
                break
            except (RateLimitedError, QueueFullError) as error:
                await asyncio.sleep(error.retry_after or _RETRY_S)
        files.add_to_zip(self.zip, task.file, spoken.content)
        self.audio_s += spoken.seconds

    def close(self) -> str:
        """Add the failed lines and a task file of the remaining ones to the zip; return a note about them."""
        try:
            if self.failed:
                failed = "".join(json.dumps(line) + "\n" for line in self.failed)
                files.add_to_zip(self.zip, "failed.jsonl", failed)
            if not (rest := self.tasks[self.done :]):
                return ""
            files.add_to_zip(self.zip, "rest.jsonl", "".join(task.line + "\n" for task in rest))
        except StorageFullError:
            return "The zip has the finished clips, but there was no space for a list of the other lines."
        return "The zip has the finished clips, and a task file with the remaining lines."

    def progress(self) -> str:
        """Return the progress as HTML."""
        total = len(self.tasks)
        failed = f", {len(self.failed)} failed" if self.failed else ""
        bar = f'<progress aria-label="Progress" max="{total}" value="{self.done}"></progress>'
        return f"{bar}<p>{self.done} of {total} lines, {self.audio_s:.1f} s of speech{failed}.</p>"


def lay_out(gr: Any, speech: Speech, jobs: TabJobs) -> None:
    """Create the controls of the tab and their event handlers."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            tasks = gr.File(label="Task file", file_types=[".jsonl"], height=140, elem_id="tasks")
            form = gr.Dropdown(formats.PAGE, value="wav", label="Format")
            with gr.Row():
                button = gr.Button("Speak all", variant="primary", size="lg", min_width=140, scale=2)
                stop = gr.Button("Stop", size="lg", min_width=90, scale=1)
        with gr.Column(scale=2, min_width=300):
            note = gr.HTML("<p>The progress appears here, then a zip file to download.</p>", elem_classes="note")
            result = gr.DownloadButton("Download the zip", variant="primary", visible=False)
    gr.Markdown(_ABOUT, elem_classes="about")

    speak_all = _speak_all_handler(gr, speech, jobs, result.GRADIO_CACHE)
    # One batch at a time for all visitors; the others see their position in Gradio's own queue.
    button.click(speak_all, [tasks, form], [result, note], api_name="batch", concurrency_limit=1,
                 show_progress_on=[note])  # fmt: skip
    add_stop_handler(gr, jobs, stop, "batch")


def _speak_all_handler(gr: Any, speech: Speech, jobs: TabJobs, cache: str) -> Any:
    """Return the handler of the button; it keeps the zip in the folder `cache`."""

    async def speak_all(path: str | None, form: str, request: Any) -> AsyncIterator[tuple[Any, str]]:
        try:
            checked = await asyncio.to_thread(_read, path, form, speech)
        except BadTasksError as error:
            yield gr.DownloadButton(visible=False), _refusal(error.problems)
            return
        client = client_of(request.request.scope)
        try:
            folder = await asyncio.to_thread(files.create_folder, cache)
        except StorageFullError as error:
            yield gr.DownloadButton(visible=False), alert(error)
            return
        batch = Batch(checked, form, folder / "speech.zip", client)
        reports = jobs.follow(request.session_hash, "batch", "", lambda report: batch.run(speech, report))
        end = "Done."
        try:
            with client.request():
                async with aclosing(reports):
                    async for report in reports:
                        yield gr.DownloadButton(visible=False), report
        except StoppedError:
            end = "Stopped."
        except ServiceError as error:
            end = describe(error)
        except BaseException:  # the visitor has disconnected; nothing else would delete the files
            files.remove(folder)
            raise
        remainder = await asyncio.to_thread(batch.close)
        note = f"{batch.progress()}<p>{f'{end} {remainder}'.strip()}</p>"
        exists = batch.zip.exists() and batch.zip.stat().st_size > 0
        download = gr.DownloadButton(value=str(batch.zip), visible=True) if exists else gr.DownloadButton(visible=False)
        yield download, note

    speak_all.__annotations__["request"] = gr.Request  # Gradio reads the annotation to pass the request
    return speak_all


def _read(path: str | None, form: str, speech: Speech) -> list[PageTask]:
    if not path:
        raise BadTasksError(["Choose a task file first"])
    file = Path(path)
    if file.stat().st_size > MAX_FILE:
        raise BadTasksError([f"The file is larger than {MAX_FILE // 1024} KiB"])
    return read_tasks(file, form, speech)


def _refusal(problems: list[str]) -> str:
    shown = problems[:_MAX_LISTED]
    if more := len(problems) - len(shown):
        shown.append(f"and {more} more")
    lines = "".join(f"<li>{html.escape(problem)}.</li>" for problem in shown)
    advice = "The batch has not started. Correct this, then choose the file again:"
    return f'<div role="alert"><p>{advice}</p><ul>{lines}</ul></div>'
