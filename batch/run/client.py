"""The HTTP client: one request per try, and its result as a Response."""

from __future__ import annotations

import asyncio
import json
import time
from types import TracebackType
from typing import Any, Self

import httpx

from batch.output import audio
from batch.run.responses import BROKEN, Response
from batch.settings import Settings
from batch.tasks.prompts import Prompts
from service.taskfile.tasks import BadLineError, Task
from service.telemetry.trace_context import TraceContext

_CONNECT_S = 10.0
_MAX_RESPONSE_BYTES = 256 * 1024 * 1024
_MAX_ERROR_BYTES = 64 * 1024
_MESSAGE_CHARS = 300


class Client:
    """Client of one service; an async context manager. `caller` is the trace that the requests belong to."""

    def __init__(self, settings: Settings, prompts: Prompts, key: str, caller: TraceContext | None = None) -> None:
        own = {"X-TTS-Class": "batch"} | ({"Authorization": f"Bearer {key}"} if key else {})
        if caller:
            own["traceparent"] = caller.header
        self._form = settings.response_format
        self._timeout_s = settings.timeout_s
        self._voice = settings.voice
        self._prompts = prompts
        self._http = httpx.AsyncClient(
            base_url=settings.endpoint,
            headers=own,
            timeout=httpx.Timeout(settings.timeout_s, connect=_CONNECT_S, pool=None),
            # Loading the certificates takes 50 ms; skip it for a service without TLS.
            verify=not settings.endpoint.startswith("http://"),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.in_flight_max),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def check(self) -> Response:
        """Check that the service responds and accepts the key."""
        return await self._request("GET", "/v1/models", None)

    async def speak(self, task: Task) -> Response:
        """Try a task once."""
        try:
            prompt = await asyncio.to_thread(self._prompts.encoded, task.prompt_audio) if task.prompt_audio else ""
        except BadLineError as error:
            return Response(400, code="prompt_gone", message=str(error))
        body: dict[str, Any] = {"input": task.input_text, "response_format": self._form}
        body |= {"voice": task.voice or self._voice, "ref_audio": prompt, "ref_text": task.prompt_text}
        body = {name: value for name, value in body.items() if value}
        if task.seed is not None:
            body["seed"] = task.seed
        return await self._request("POST", "/v1/audio/speech", json.dumps(body).encode())

    async def _request(self, method: str, path: str, body: bytes | None) -> Response:
        headers = {"Content-Type": "application/json"} if body else {}
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(self._timeout_s),  # httpx's own timeout restarts with each byte
                self._http.stream(method, path, content=body, headers=headers) as response,
            ):
                content = await _read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Response(0, sent=False, message=f"no connection: {_describe(error)}")
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            return Response(404, message=_describe(error))
        except TimeoutError:
            return Response(0, message=f"the response was incomplete after {self._timeout_s:g} s")
        except (httpx.HTTPError, ValueError) as error:
            return Response(0, message=f"the connection broke: {_describe(error)}")
        took = time.monotonic() - began
        return _refusal(response, content) if response.status_code != 200 else self._spoken(response, content, took)

    def _spoken(self, response: httpx.Response, content: bytes, took: float) -> Response:
        if response.request.method == "GET":
            return Response(200)
        headers = response.headers
        try:
            seconds = audio.duration_s(
                content, self._form, headers.get("X-Sample-Rate", ""), headers.get("X-Audio-Duration", "")
            )
        except ValueError as error:
            return Response(200, code=BROKEN, message=str(error))
        return Response(
            200,
            content=content,
            duration_s=seconds,
            release=headers.get("X-Release", ""),
            request_id=headers.get("X-Request-Id", ""),
            seconds=round(took, 3),
        )


async def _read(response: httpx.Response) -> bytes:
    most = _MAX_RESPONSE_BYTES if response.status_code == 200 else _MAX_ERROR_BYTES
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > most:
            raise ValueError(f"the response has more than {most} bytes")
    return b"".join(parts)


def _refusal(response: httpx.Response, content: bytes) -> Response:
    """Parse an error in OpenAI's format, or any response of a proxy."""
    try:
        error = json.loads(content)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        code, message = "", " ".join(content.decode("utf-8", "replace").split())
    after = response.headers.get("Retry-After", "")
    return Response(
        response.status_code,
        code=code,
        message=message[:_MESSAGE_CHARS],
        retry_after_s=float(after) if after.isascii() and after.isdigit() else None,
        request_id=response.headers.get("X-Request-Id", ""),
    )


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
