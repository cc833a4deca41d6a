"""Work that a tab waits for: it reports its progress, and its tab can stop it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from service.audio.encoding import Encoder
from service.engine import Utterance
from service.page.language import Translator
from service.page.player import GrowingSpeech
from service.synthesis.in_flight import InFlight
from service.synthesis.speech import Speech, Synthesis

Report = Callable[[str], None]


class StoppedError(Exception):
    """The visitor pressed Stop."""


class TabJobs:
    """Running work of the tabs, by tab (Gradio's session) and kind."""

    def __init__(self, speech: Speech, traffic: InFlight) -> None:
        self._speech = speech
        self._traffic = traffic
        self._tasks: dict[tuple[str | None, str], asyncio.Future[None]] = {}

    async def speak(
        self, utterance: Utterance, spoken: Synthesis, growing: GrowingSpeech, form: str, say: Translator,
        report: Report,
    ) -> None:  # fmt: skip
        """Synthesize a file into `spoken`, which plays as `growing` meanwhile; report the position, then the sentences.

        Raises as Speech.parts.
        """
        encode = growing.beside(functools.partial(Encoder, form, whole=True))
        parts = self._speech.parts(
            utterance, encode, spoken, on_position=lambda ahead: report(_describe_position(ahead, say))
        )
        async with parts as speech:
            count = 0
            async for part in speech:
                count += 1
                spoken.content += part.encoded
                report(say("Sentence {count} is ready: {seconds:.1f} s so far.", count=count, seconds=spoken.seconds))

    async def follow(
        self, session: str | None, kind: str, text: str, work: Callable[[Report], Coroutine[Any, Any, None]]
    ) -> AsyncGenerator[str]:
        """Run the work and yield its latest report; raise StoppedError, or the error of the work.

        A drain classifies the work by the length of `text`, unless it is a batch.
        """
        notes: asyncio.Queue[str | None] = asyncio.Queue()
        tracked = self._traffic.for_a_tab(text, work(notes.put_nowait), batch=kind == "batch")
        task = asyncio.ensure_future(tracked)
        task.add_done_callback(lambda _: notes.put_nowait(None))
        self._tasks[session, kind] = task
        try:
            while (note := await notes.get()) is not None:
                while not notes.empty() and (newer := notes.get_nowait()) is not None:
                    note = newer
                if task.done():
                    break
                yield note
            if task.cancelled():
                raise StoppedError
            task.result()
        finally:
            task.cancel()
            if self._tasks.get((session, kind)) is task:
                del self._tasks[session, kind]

    def stop(self, session: str | None, kind: str) -> bool:
        """Stop the work of a tab; return False if there is none."""
        task = self._tasks.get((session, kind))
        return task is not None and task.cancel()


def _describe_position(ahead: int, say: Translator) -> str:
    return say("Waiting in the queue with {ahead} ahead.", ahead=ahead) if ahead else say("Next in the queue.")
