"""Work that a tab waits for: it reports its progress, and its tab can stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from service.audio.encoding import seconds
from service.engine import Audio, Utterance
from service.synthesis.in_flight import InFlight
from service.synthesis.speech import Speech

Tell = Callable[[str], None]


class StoppedError(Exception):
    """The visitor pressed Stop."""


class TabJobs:
    """Running work of the tabs, by tab (Gradio's session) and kind."""

    def __init__(self, speech: Speech, traffic: InFlight) -> None:
        self._speech = speech
        self._traffic = traffic
        self._tasks: dict[tuple[str | None, str], asyncio.Future[None]] = {}

    async def speak(self, utterance: Utterance, pieces: list[Audio], tell: Tell) -> None:
        """Synthesize into `pieces` and report the queue position, then the sentences; raises as Speech.pieces."""
        rate = self._speech.engine.sample_rate
        async with self._speech.pieces(utterance, on_place=lambda ahead: tell(_place(ahead))) as coming:
            async for piece in coming:
                pieces.append(piece)
                tell(f"Sentence {len(pieces)} is spoken: {seconds(pieces, rate):.1f} s so far.")

    async def follow(
        self, session: str | None, what: str, text: str, work: Callable[[Tell], Coroutine[Any, Any, None]]
    ) -> AsyncGenerator[str]:
        """Run the work and yield its latest report; raise StoppedError, or the error of the work.

        A drain classifies the work by the length of `text`, unless it is a batch.
        """
        notes: asyncio.Queue[str | None] = asyncio.Queue()
        doing = self._traffic.for_a_tab(text, work(notes.put_nowait), batch=what == "batch")
        task = asyncio.ensure_future(doing)
        task.add_done_callback(lambda _: notes.put_nowait(None))
        self._tasks[session, what] = task
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
            if self._tasks.get((session, what)) is task:
                del self._tasks[session, what]

    def stop(self, session: str | None, what: str) -> bool:
        """Stop the work of a tab; return False if there is none."""
        task = self._tasks.get((session, what))
        return task is not None and task.cancel()


def _place(ahead: int) -> str:
    return f"Waiting in the queue, with {ahead} ahead." if ahead else "Next in the queue."
