"""Requests in flight by class and the outcomes of the others, so that a drain can give each class its own time.

The length of the body separates short and long, as in the proxy's gate (proxy/hold.lua).
"""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

from service.errors import DrainingError, ServiceError
from service.metrics.metrics import Metrics
from service.telemetry.logs import log_access
from service.telemetry.record import CLIENT_GONE, RequestRecord, current_record

T = TypeVar("T")

_SETTLED_S = 0.5  # a tab fetches its result first, and then may move on
_CUT_S = 1.0


class Class(StrEnum):
    """Class of a request: its expected duration, and the cost of a retry."""

    SHORT = "short"
    LONG = "long"
    STREAM = "stream"  # event stream of a web tab: never ends, and the tab reopens it
    BATCH = "batch"  # the client marks it as low-priority (X-TTS-Class: batch)


class Outcome(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"  # answered completely, with any status
    CUT = "cut"  # aborted by a drain: rejected with a retry, or cut off; a stream: closed
    UNFINISHED = "unfinished"  # the client disconnected, or it failed half way


@dataclass(eq=False)
class TrackedRequest:
    """One request in flight, or the work of a web tab (which no request of its own carries)."""

    kind: Class
    task: asyncio.Future[Any]
    page: bool
    request: bool = True
    record: RequestRecord = field(default_factory=current_record)
    began: float = field(default_factory=time.monotonic)
    spoken: bool = False  # an inference for it has started
    cut: bool = False


_current: ContextVar[TrackedRequest | None] = ContextVar("item", default=None)


def current() -> TrackedRequest | None:
    """Return the request that this task answers."""
    return _current.get()


def is_batch() -> bool:
    """Return whether this task is batch work, with low priority."""
    item = _current.get()
    return item is not None and item.kind is Class.BATCH


class InFlight:
    """The items in flight, and the counts of those that ended."""

    def __init__(self, metrics: Metrics, long_bytes: int) -> None:
        self._items: set[TrackedRequest] = set()
        self._ended: Counter[tuple[Class, Outcome]] = Counter()
        self._long_bytes = long_bytes
        self._metrics = metrics
        self._page_ended = -_SETTLED_S
        for kind in Class:
            metrics.class_in_flight.labels(kind).set_function(functools.partial(self._count, kind))

    @property
    def requests(self) -> int:
        """Number of HTTP requests, without event streams."""
        return sum(item.request and item.kind is not Class.STREAM for item in self._items)

    @property
    def streams(self) -> int:
        return self._count(Class.STREAM)

    @property
    def oldest_s(self) -> float | None:
        """Age of the oldest request in flight in seconds; None if there is none."""
        began = [item.began for item in self._items if item.request and item.kind is not Class.STREAM]
        return time.monotonic() - min(began) if began else None

    def enter(self, method: str, headers: Mapping[bytes, bytes], *, page: bool) -> TrackedRequest:
        """Register a request that this task answers."""
        task = cast(asyncio.Task[Any], asyncio.current_task())  # every request is answered in a task
        item = TrackedRequest(self._kind(method, headers), task, page)
        self._items.add(item)
        _current.set(item)
        return item

    def _kind(self, method: str, headers: Mapping[bytes, bytes]) -> Class:
        if headers.get(b"x-tts-class", b"").strip().lower() == b"batch":
            return Class.BATCH
        length = headers.get(b"content-length", b"")
        # A body of unknown length counts as long.
        size = int(length) if length.isdigit() else self._long_bytes + 1 if method == "POST" else 0
        return self._by_size(size)

    def _by_size(self, size: int) -> Class:
        return Class.LONG if size > self._long_bytes else Class.SHORT

    def leave(self, item: TrackedRequest, outcome: Outcome) -> None:
        """Record the end of an item."""
        self._items.discard(item)
        item.record.end(item.kind, outcome)
        self._metrics.request_ended(item.record)
        self._ended[item.kind, outcome] += 1
        self._metrics.class_requests.labels(item.kind, outcome).inc()
        if item.page and item.kind is not Class.STREAM:
            self._page_ended = time.monotonic()

    async def for_a_tab(self, text: str, work: Coroutine[Any, Any, T], *, batch: bool = False) -> T:
        """Run the work of a web tab in a separate task, so that an abort does not affect the page's tasks.

        Its class is batch, or short or long by its text; a drain gives each class its own time. Raise DrainingError if
        it was aborted.
        """

        async def run() -> T:
            _current.set(item)  # what starts in it belongs to the tab, not to the request for which Gradio runs it
            with item.record.bound():
                return await work

        task = asyncio.ensure_future(run())
        kind = Class.BATCH if batch else self._by_size(len(text.encode()))
        own = RequestRecord(path="/", request_id=uuid.uuid4().hex, route="page", status=200)
        item = TrackedRequest(kind, task, page=True, request=False, record=own)
        self._items.add(item)
        outcome = Outcome.COMPLETED
        try:
            result = await task
        except asyncio.CancelledError:
            outcome, own.status = (Outcome.CUT, DrainingError.status) if item.cut else (Outcome.UNFINISHED, CLIENT_GONE)
            if item.cut:
                raise DrainingError from None
            raise
        except ServiceError as error:
            own.status = error.status
            own.fail(error.code)
            raise
        else:
            own.error_code = ""  # the work has repeated or reported what failed
            return result
        finally:
            self.leave(item, outcome)
            log_access(own)

    async def cut(self, kind: Class, *, waiting: bool = False) -> None:
        """Abort the items of a class, with `waiting` only those without a first inference; return soon after."""
        cut = [item for item in self._of(kind) if not (item.cut or (waiting and item.spoken))]
        for item in cut:
            item.cut = True
            item.task.cancel()
        if cut:
            await asyncio.wait([item.task for item in cut], timeout=_CUT_S)

    def by_class(self) -> dict[str, dict[str, int]]:
        """Return for each class the number in flight, and the number that ended by outcome since the start.

        `idle` counts the streams of tabs that wait for nothing.
        """
        return {
            kind.value: {
                "in_flight": self._count(kind),
                "idle": self.streams if kind is Class.STREAM and self._tabs_are_idle() else 0,
                **{outcome.value: self._ended[kind, outcome] for outcome in Outcome},
            }
            for kind in Class
        }

    def _tabs_are_idle(self) -> bool:
        busy = any(item.page and item.kind is not Class.STREAM for item in self._items)
        return not busy and time.monotonic() - self._page_ended >= _SETTLED_S

    def _count(self, kind: Class) -> int:
        return len(self._of(kind))

    def _of(self, kind: Class) -> list[TrackedRequest]:
        return [item for item in self._items if item.kind is kind]
