"""The synthesis path of the API, the predict route and the page: checks, queue, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.types import Receive

from service.audio.encoding import seconds
from service.engine import Audio, Engine, Piece, Utterance, Voice
from service.errors import ClientGoneError, InvalidError, ServiceError
from service.fields import nearest, quote
from service.metrics.metrics import Metrics
from service.synthesis.fair_queue import Priority
from service.synthesis.lifecycle import Lifecycle
from service.synthesis.listener import Listener
from service.synthesis.scheduler import OnPosition, Scheduler
from service.telemetry.record import RequestRecord, Step, current_record
from service.text_check import check_text

SPEED = (0.25, 4.0)
_MAX_LISTED = 20  # a model may have hundreds of speakers

T = TypeVar("T")


@dataclass
class Synthesis:
    """Synthesized audio, and the seconds that the engine worked on it."""

    sample_rate: int
    pieces: list[Audio] = field(default_factory=list)
    worked_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Duration of the audio in seconds."""
        return seconds(self.pieces, self.sample_rate)


class Speech:
    """Turns checked requests into audio through the scheduler."""

    def __init__(
        self, engine: Engine, lifecycle: Lifecycle, scheduler: Scheduler, metrics: Metrics, max_chars: int
    ) -> None:
        self.engine = engine
        self.max_chars = max_chars
        self._lifecycle = lifecycle
        self._scheduler = scheduler
        self._metrics = metrics
        for priority in Priority:
            metrics.first_audio_seconds.labels(priority)
            metrics.stall_seconds.labels(priority)

    @property
    def voices(self) -> tuple[Voice, ...]:
        """The available voices; the first is the default."""
        return self.engine.describe().voices

    def utterance(self, text: str, voice_id: str | None, speed: float, param: str = "input") -> Utterance:
        """Check a request and return its utterance; raise InvalidError with `param` for text that cannot be spoken."""
        voice = self._voice(voice_id)
        if not SPEED[0] <= speed <= SPEED[1]:
            message = f"speed must be from {SPEED[0]:g} to {SPEED[1]:g}, not {speed:g}"
            raise InvalidError(message, code="out_of_range", param="speed")
        about = self.engine.describe()
        if speed != 1 and not about.speeds:
            message = f"engine {about.engine} does not support speed; leave it out"
            raise InvalidError(message, code="speed_not_supported", param="speed")
        return Utterance(check_text(text, voice.language, self.max_chars, param), voice.id, speed)

    def _voice(self, voice_id: str | None) -> Voice:
        if voice_id is None:
            return self.voices[0]
        for voice in self.voices:
            if voice.id == voice_id:
                return voice
        known = [voice.id for voice in self.voices]
        more = f" and {len(known) - _MAX_LISTED} more (/v1/audio/voices)" if len(known) > _MAX_LISTED else ""
        voices = f"voices are {', '.join(known[:_MAX_LISTED])}{more}.{nearest(voice_id, known)}"
        message = f"voice {quote(voice_id)} does not exist; {voices}"
        raise InvalidError(message, code="no_such_voice", param="voice")

    @contextlib.asynccontextmanager
    async def pieces(
        self, utterance: Utterance, spoken: Synthesis | None = None, on_position: OnPosition | None = None
    ) -> AsyncIterator[AsyncIterator[Audio]]:
        """Accept the utterance and yield its audio during the synthesis, at least one piece.

        `spoken` gets the engine's time; `on_position` receives the queue position. Raise UnavailableError if not ready,
        QueueFullError if the queue is full, DeadlineExceededError after the deadline.
        """
        request = current_record()
        request.voice = utterance.voice
        request.characters += len(utterance.text)
        streamed, spoken = spoken is None, spoken or Synthesis(self.engine.sample_rate)
        try:
            self._lifecycle.check_accepting()
            start = functools.partial(_recorded, self.engine, utterance, spoken, request, time.monotonic())
            async with self._scheduler.job(start, on_position) as pieces:
                yield self._counted(pieces, spoken, Listener(self._metrics, streamed=streamed))
        except ServiceError as error:  # a stream that has begun tells its client no code
            request.fail(error.code)
            raise

    async def synthesize(self, utterance: Utterance) -> Synthesis:
        """Return the complete audio of the utterance; raises the errors of `pieces`."""
        spoken = Synthesis(self.engine.sample_rate)
        async with self.pieces(utterance, spoken) as pieces:
            spoken.pieces = [piece async for piece in pieces]
        return spoken

    async def _counted(
        self, pieces: AsyncIterator[Audio], spoken: Synthesis, listener: Listener
    ) -> AsyncIterator[Audio]:
        async for piece in pieces:
            listener.receive(seconds([piece], self.engine.sample_rate))
            yield piece
            listener.ask()
        if not listener.audio_s:
            raise ServiceError("the engine returned no audio", code="engine_failed")
        self._metrics.real_time_factor.observe(spoken.worked_s / listener.audio_s)


def _recorded(
    engine: Engine, utterance: Utterance, spoken: Synthesis, request: RequestRecord, accepted: float
) -> Iterator[Piece]:
    """Synthesize, and record the wait and each inference. Runs in worker threads."""
    request.add(Step.QUEUE, accepted)
    pieces: Iterator[Piece] | None = None
    while True:
        began = time.monotonic()
        with request.during(Step.INFERENCE):
            pieces = pieces or engine.synthesize(utterance)
            piece = next(pieces, None)
        if piece is None:
            return
        spoken.worked_s += time.monotonic() - began
        yield piece


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Run `work` for a client whose body has been read; on disconnect cancel it and raise ClientGoneError."""
    task = asyncio.ensure_future(work)
    disconnect = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGoneError("the client disconnected")
    finally:
        task.cancel()
        disconnect.cancel()
        await asyncio.gather(task, disconnect, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
