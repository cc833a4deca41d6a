"""Threads beside asyncio's default executor, which a process joins before it ends."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_UNTRUSTED = ThreadPoolExecutor(2, thread_name_prefix="untrusted")


async def untrusted(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work on a client's data in one of two threads of its own, so that much of it delays only work like it."""
    return await asyncio.wrap_future(_UNTRUSTED.submit(work, *args, **kwargs))


async def abandonable(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run work in a thread that neither a cancellation of this coroutine nor the end of the process waits for."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            result: Any = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - the waiting coroutine raises it
            with contextlib.suppress(Exception):  # cancelled meanwhile: the outcome is unused
                done.set_exception(error)
        else:
            with contextlib.suppress(Exception):
                done.set_result(result)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await asyncio.wrap_future(done)
