"""The service with its web page on a free port, in this process or (as a module) another, and a client of the page."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import gc
import io
import json
import sys
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import httpx

from harness.stack import wait_for
from service.app import Service
from service.settings import Settings
from tests.unit.service.support import FakeEngine, served


def player_seconds(value: str) -> float:
    """Return the seconds of audio in a value of the player: an ID, parts in base64, and "." once it is complete."""
    content = b"".join(base64.b64decode(part) for part in value.removesuffix(" .").split(" ")[1:])
    try:
        with av.open(io.BytesIO(content), "r") as file:
            return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))
    except av.EOFError:  # only the header so far
        return 0.0


@dataclass
class PageClient:
    """Client that calls the page's functions as a browser tab does."""

    client: httpx.Client

    def post(self, name: str, *data: Any, session: str) -> str:
        """Send a call without waiting for its result; return the event's ID."""
        response = self.client.post(f"/gradio_api/call/{name}", json={"data": data, "session_hash": session})
        return str(response.json()["event_id"])

    def ask(self, name: str, *data: Any, session: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the events of a call: ("generating", values), ..., ("complete", values) or ("error", problem)."""
        # Calls of one session share a queue of events: each call has a new session unless a test sets it.
        event = self.post(name, *data, session=session or uuid.uuid4().hex)
        with self.client.stream("GET", f"/gradio_api/call/{name}/{event}") as lines:
            kind = ""
            for line in lines.iter_lines():
                key, _, value = line.partition(": ")
                kind = value if key == "event" else kind
                if key == "data" and kind != "heartbeat":
                    yield kind, json.loads(value)

    @contextmanager
    def opened(self, name: str, *data: Any) -> Iterator[None]:
        """Call as the page's script does, in a tab that is closed at the end of the context."""
        session = uuid.uuid4().hex
        functions = {
            function["api_name"]: function["id"] for function in self.client.get("/config").json()["dependencies"]
        }
        call = {"data": data, "fn_index": functions[name], "session_hash": session}
        with self.client.stream("GET", f"/gradio_api/heartbeat/{session}"):
            self.client.post("/gradio_api/queue/join", json=call).raise_for_status()
            with self.client.stream("GET", f"/gradio_api/queue/data?session_hash={session}"):
                yield

    def speak(
        self, text: str, form: str = "wav", prompt: Any = None, transcript: str = ""
    ) -> Iterator[tuple[str, Any]]:
        return self.ask("speak", text, "joe", 1.0, form, prompt, transcript)

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        paths = self.client.post("/gradio_api/upload", files={"files": (name, content)}).json()
        return {"path": paths[0], "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def file(self, value: dict[str, Any]) -> bytes:
        return self.client.get(f"/gradio_api/file={value['path']}").content


@dataclass
class ServedPage(PageClient):
    """A served page with its service and engine."""

    service: Service
    engine: FakeEngine
    loop: asyncio.AbstractEventLoop

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def until_busy_with(self, jobs: int) -> None:
        wait_for(f"{jobs} syntheses", lambda: self.service.scheduler.jobs == jobs, 20)


@contextmanager
def served_page(folder: Path) -> Iterator[ServedPage]:
    """Serve a page whose engine supports prompts."""
    settings = dataclasses.replace(Settings.from_env({}), control=folder / "c.sock", release="test-1")
    engine = FakeEngine()
    engine.prompts = True
    try:
        with served(settings, engine, page=True) as found, httpx.Client(base_url=found.url, timeout=30) as client:
            yield ServedPage(client, found.service, engine, found.loop)
    finally:
        # Gradio's import leaves event loops open: close them before the next test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


if __name__ == "__main__":
    with served_page(Path(sys.argv[1])) as page:
        sys.stdout.write(f"{page.client.base_url}\n")
        sys.stdout.flush()
        sys.stdin.read()
