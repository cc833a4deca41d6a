"""The synthesis path of the API, the predict route and the page: checks, queue, metrics."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import Receive

from service.audio.encoding import Encoder, Writer
from service.engine import Audio, Chunk, Engine, Utterance, Voice, speak
from service.errors import ClientGoneError, InvalidError, ServiceError
from service.fields import nearest, quote
from service.metrics.metrics import Metrics
from service.synthesis.admission import Size
from service.synthesis.fair_queue import Priority
from service.synthesis.job import OnPosition, Part, Task
from service.synthesis.lifecycle import Lifecycle
from service.synthesis.listener import Listener
from service.synthesis.scheduler import Scheduler
from service.telemetry.record import Step, current_record
from service.text import reading
from service.text.reading import Reading, TextError
from service.threads import untrusted

SPEED = (0.25, 4.0)
_QUICK_CHARS = 200  # a longer text may take more than a few milliseconds to read
_MAX_LISTED = 20  # a model may have hundreds of speakers

T = TypeVar("T")

Encode = Callable[[int], Writer]
"""Creates the encoder of a text from the sample rate (Hz) of its speech."""


@dataclass
class Synthesis:
    """A synthesized text: the encoded audio, its duration, and the seconds that the engine worked on it."""

    sample_rate: int
    content: bytes = b""
    seconds: float = 0.0
    worked_s: float = 0.0


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

    async def read_utterance(
        self, text: str, voice_id: str | None, speed: float, param: str = "input", *, strict: bool = False
    ) -> Utterance:
        """Return the utterance of a request, as `utterance`; a long text is read in a thread."""
        work = functools.partial(self.utterance, text, voice_id, speed, param, strict=strict)
        return await untrusted(work) if len(text) > _QUICK_CHARS else work()

    def utterance(
        self, text: str, voice_id: str | None, speed: float, param: str = "input", *, strict: bool = False
    ) -> Utterance:
        """Check a request and return its utterance, whose text is in words and split into sentences.

        `strict`: refuse characters that would be left out.

        Raises:
            InvalidError: the text cannot be spoken; names `param`.
        """
        voice = self._voice(voice_id)
        if not SPEED[0] <= speed <= SPEED[1]:
            message = f"speed must be from {SPEED[0]:g} to {SPEED[1]:g}, not {speed:g}"
            raise InvalidError(message, code="out_of_range", param="speed")
        about = self.engine.describe()
        if speed != 1 and not about.speeds:
            message = f"engine {about.engine} does not support speed; leave it out"
            raise InvalidError(message, code="speed_not_supported", param="speed")
        found = self.read(text, voice.language, param, strict=strict)
        for kind, count in found.dropped.items():
            self._metrics.text_dropped.labels(kind).inc(count)
        dropped = reading.describe(found)
        return Utterance(found.text, voice.id, speed, sentences=found.sentences, dropped=dropped)

    def read(self, text: str, language: str, param: str, *, strict: bool = False) -> Reading:
        """Return how the engine's voices of `language` speak a text; raise InvalidError with `param`."""
        normalizes = self.engine.describe().normalizes
        try:
            return reading.read(text, language, max_chars=self.max_chars, normalizes=normalizes, strict=strict)
        except TextError as error:
            raise InvalidError(f"{param} {error}", code=error.code, param=param) from None

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
    async def parts(
        self, utterance: Utterance, encode: Encode, spoken: Synthesis | None = None,
        on_position: OnPosition | None = None,
    ) -> AsyncIterator[AsyncIterator[Part]]:  # fmt: skip
        """Accept the utterance and yield its speech during the synthesis, as audio and encoded; at least one part.

        `encode` creates an encoder, which worker threads call within the limits of the synthesis. `spoken` gets the
        engine's time; `on_position` receives the queue position. Raise UnavailableError if not ready, QueueFullError if
        the text cannot be spoken in time, DeadlineExceededError if an inference takes too long.
        """
        request = current_record()
        request.voice = utterance.voice
        request.characters += len(utterance.text)
        streamed, spoken = spoken is None, spoken or Synthesis(self.engine.sample_rate)
        try:
            self._lifecycle.check_accepting()
            task = self._task(utterance, encode(self.engine.sample_rate), spoken)
            async with self._scheduler.job(task, on_position) as parts:
                yield self._counted(parts, spoken, Listener(self._metrics, streamed=streamed))
        except ServiceError as error:  # a stream that has begun tells its client no code
            request.fail(error.code)
            raise

    def _task(self, utterance: Utterance, encoder: Writer, spoken: Synthesis) -> Task:
        work = _Work(self.engine, utterance, encoder, spoken)
        size = Size.of(utterance.text, utterance.voice, utterance.speed)
        text = (utterance.text, utterance.voice, utterance.speed, utterance.seed)
        return Task(work.plan, work.speak, work.encode, self.engine.describe().parallel, size, text)

    async def synthesize(self, utterance: Utterance, form: str = "wav") -> Synthesis:
        """Return the complete audio of the utterance in a format; raises the errors of `parts`."""
        spoken = Synthesis(self.engine.sample_rate)
        async with self.parts(utterance, functools.partial(Encoder, form, whole=True), spoken) as parts:
            spoken.content = b"".join([part.encoded async for part in parts])
        return spoken

    async def _counted(self, parts: AsyncIterator[Part], spoken: Synthesis, listener: Listener) -> AsyncIterator[Part]:
        async for part in parts:
            length = part.samples.size / self.engine.sample_rate
            listener.receive(length)
            spoken.seconds += length
            yield part
            listener.ask()
        if not spoken.seconds:
            raise ServiceError("the engine returned no audio", code="engine_failed")
        self._metrics.real_time_factor.observe(spoken.worked_s / spoken.seconds)


class _Work:
    """A text as worker threads speak it; adds up the engine's time, and records each step."""

    def __init__(self, engine: Engine, utterance: Utterance, encoder: Writer, spoken: Synthesis) -> None:
        self._engine = engine
        self._utterance = utterance
        self._encoder = encoder
        self._spoken = spoken
        self._adding = threading.Lock()
        self._request = current_record()
        self._accepted = time.monotonic()

    def plan(self) -> Sequence[Chunk]:
        self._request.add(Step.QUEUE, self._accepted)
        with self._timed(Step.PLAN):
            return self._engine.plan(self._utterance)

    def speak(self, chunk: Chunk, alone: bool) -> Audio:
        with self._timed(Step.INFERENCE):
            return speak(self._engine, chunk, alone=alone)

    def encode(self, samples: Audio, last: bool) -> bytes:
        return self._encoder.add(samples) + (self._encoder.end() if last else b"")

    @contextlib.contextmanager
    def _timed(self, step: Step) -> Iterator[None]:
        began = time.monotonic()
        with self._request.during(step):
            yield
        with self._adding:
            self._spoken.worked_s += time.monotonic() - began


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
