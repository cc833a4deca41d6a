"""Run the service: the listening socket, signals, the order of the shutdown, and the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from types import FrameType

import uvicorn

from service import watchdog
from service.app import Service
from service.control.orders import Orders
from service.control.server import listen
from service.settings import Settings
from service.synthesis.in_flight import Class
from service.synthesis.scheduler import HUNG
from service.web.http_protocol import SmallReads

logger = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_ADDRESS = 0, 3, 4

# After a failure, the time for which the control socket still reports it before the process exits.
_FAILURE_SHOWN_S = 1.0
_POLL_S = 0.05
_SETTLED_S = 0.5

SWITCH_S = 0.001
"""Longest time (seconds) that another thread's Python code keeps the interpreter from the event loop; default 0.005."""


class CannotListenError(Exception):
    """The configured address or path cannot be listened on."""


class Server(uvicorn.Server):
    """uvicorn with three changes: the meaning of a signal, the end of open event streams, and the exit code."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Accept no new requests and exit once the accepted ones are done; a second Ctrl-C exits at once.

        Unlike uvicorn's handler, it does not raise the signal again at the end: a clean stop exits with 0.
        """
        del frame
        self.service.lifecycle.stop()
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, finish the requests, then close the event streams, which would never end on their own."""
        streams = asyncio.create_task(self._close_streams())
        try:
            await super().shutdown(sockets)
        finally:
            streams.cancel()

    async def _close_streams(self) -> None:
        """Close the event streams after a short time without requests: a tab may still wait for its last message."""
        idle_s = 0.0
        while True:
            idle = not self.service.traffic.requests and not self.service.scheduler.jobs
            idle_s = idle_s + _POLL_S if idle else 0.0
            if idle_s >= _SETTLED_S:
                await self.service.traffic.cut(Class.STREAM)
            await asyncio.sleep(_POLL_S)


def uvicorn_config(service: Service) -> uvicorn.Config:
    """Return the uvicorn configuration.

    uvicorn ignores proxy headers: the guard evaluates them, because it knows the proxy's address.
    """
    return uvicorn.Config(
        service.asgi, http=SmallReads, lifespan="off", access_log=False, log_config=None,
        server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(service.settings.grace_s)),
    )  # fmt: skip


async def run(settings: Settings) -> int:
    """Serve until a signal or a failure; return the exit code. Raise CannotListenError."""
    sys.setswitchinterval(SWITCH_S)
    service = Service(settings)
    service.lifecycle.freezes = True
    listener = listener_of(settings)
    server = Server(uvicorn_config(service), service)
    try:
        control = await listen(settings.control, service)
    except OSError as error:
        raise CannotListenError(f"cannot create the control socket {settings.control}: {error}") from None
    logger.info("listening on %s:%s, release %s", *listener.getsockname()[:2], settings.release)
    work = (
        _end_on_failure(service, server),
        Orders(service).follow(),  # before the start reads its flags
        watchdog.watch_gpu(service),
        watchdog.watch_loop(HUNG * settings.deadline_s),
        watchdog.measure_loop(service.metrics.loop_lag),
    )
    start, *background = (asyncio.create_task(task) for task in (service.start(), *work))
    try:
        await server.serve(sockets=[listener])
    finally:
        control.close()
        with contextlib.suppress(OSError):
            settings.control.unlink()
        # A load under way goes on in its thread until the process ends: it may take minutes.
        for task in (start, *background):
            task.cancel()
        if not service.lifecycle.broken:
            await asyncio.gather(start, *background, return_exceptions=True)
            await service.close()
    return exit_code(service)


def exit_code(service: Service) -> int:
    """Return why the process ends."""
    if service.lifecycle.broken:
        return watchdog.EXIT_BROKEN
    return EXIT_FAILED if service.lifecycle.failed.is_set() else EXIT_OK


async def _end_on_failure(service: Service, server: Server) -> None:
    await service.lifecycle.failed.wait()
    if service.lifecycle.broken:
        watchdog.end_soon(watchdog.EXIT_BROKEN)
        # Unanswered requests get a closed connection, which the proxy retries on another server.
        server.force_exit = True
    await asyncio.sleep(_FAILURE_SHOWN_S)
    server.should_exit = True


def listener_of(settings: Settings) -> socket.socket:
    try:
        listener = socket.create_server((settings.host, settings.port), backlog=1024)
        # asyncio sets this only for sockets that name their protocol; these do not. Accepted connections inherit it.
        # Without it, each response on a keep-alive connection waits 40 ms for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise CannotListenError(f"cannot listen on {settings.host}:{settings.port}: {error}") from None
