"""Server of the control socket; runs the commands of its clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

from service.app import Service
from service.control.epochs import accept
from service.control.protocol import CLASSES, COMMANDS
from service.synthesis.in_flight import Class
from service.synthesis.lifecycle import Phase, RefusedError

_LINE_LIMIT = 4096
_READ_TIMEOUT_S = 5.0


async def listen(path: Path, service: Service) -> asyncio.Server:
    """Serve the control socket at `path`; from creation on, only this user can read and write it."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()  # stale socket of a killed process; a container runs one service
    previous = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(lambda r, w: _serve(service, r, w), path, limit=_LINE_LIMIT)
    finally:
        os.umask(previous)


async def _serve(service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_READ_TIMEOUT_S):
            line = await reader.readline()
        writer.write(json.dumps(await execute(service, line)).encode() + b"\n")
        await writer.drain()
    except (TimeoutError, ValueError, ConnectionError):
        pass  # no reply for a client that sends nothing, sends too much, or disconnects
    finally:
        writer.close()


async def execute(service: Service, line: bytes) -> dict[str, Any]:
    """Run one command line, {"command": ...} and its arguments, and return the resulting status."""
    try:
        request = json.loads(line)
        await run_command(service, request if isinstance(request, dict) else {})
    except RefusedError as refusal:
        return service.status() | {"refused": str(refusal)}
    except ValueError:
        return service.status() | {"refused": "the command is not a JSON line"}
    return service.status()


async def run_command(service: Service, request: dict[str, Any]) -> None:
    """Run one command; raise RefusedError if its epoch is over or the phase does not allow it."""
    if request.get("command") != "status":
        accept(service, request.get("epoch"))
        await _change(service, request)


async def _change(service: Service, request: dict[str, Any]) -> None:
    lifecycle = service.lifecycle
    match request.get("command"):
        case "drain":
            lifecycle.drain()
        case "resume":
            lifecycle.resume()
        case "load":
            # Shielded: a client that disconnects must not leave a half-loaded model.
            await asyncio.shield(asyncio.ensure_future(lifecycle.load()))
            if lifecycle.phase is Phase.FAILED:
                raise RefusedError(f"the load failed: {lifecycle.error}")
        case "unload":
            requests, jobs = service.traffic.requests, service.scheduler.jobs
            if requests or jobs or service.scheduler.stuck:
                raise RefusedError(f"cannot unload with {requests} requests and {jobs} syntheses in flight")
            service.scheduler.last_success = None  # it says nothing about the next model
            await asyncio.shield(asyncio.ensure_future(lifecycle.unload()))
        case "cut":
            if request.get("class") not in CLASSES:
                raise RefusedError(f"unknown class; classes are {', '.join(CLASSES)}")
            await service.traffic.cut(Class(request["class"]), waiting=request.get("waiting") is True)
        case _:
            raise RefusedError(f"unknown command; commands are {', '.join(COMMANDS)}")
