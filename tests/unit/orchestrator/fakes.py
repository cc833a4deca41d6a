"""A target that lives in memory: drivers that remember what they were told, and a clock that costs no time."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
import wave
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from build.decisions import colours as pure
from build.decisions import history
from build.decisions.colours import Colour, ColourFacts, Stack
from build.decisions.drain import Load
from build.decisions.history import Release
from build.decisions.spoken import Spoken
from build.decisions.warmup import Look
from build.drivers.colour import Status
from build.drivers.proxy import Hold, Server
from build.errors import LineError
from build.settings import Settings

OLD, NEW = (Release(name * 40, f"sha256:{name * 64}") for name in "ab")
# What is said to colours that do not really speak: nothing of it is calibrated.
GOLDEN = """
voice: joe
expect: {quality: null}
texts:
  - {name: short, say: Somebody says something.}
"""
SERVER = Server(admin="maint", up=False, check="", sessions=0, queued=0, rate=0, total=0, errors=0)


def speech(text: str) -> bytes:
    """A WAV of plausible length and level for a text."""
    samples = 0.2 * np.random.default_rng(1).normal(size=int(22050 * len(text) / 15)).clip(-3, 3)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(22050)
        writer.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def polls(self, every_s: float = 0.5) -> Iterator[float]:
        while True:
            yield self.time
            self.time += every_s


@dataclass
class Proxy:
    said: list[str]
    reachable: bool = True
    broken: LineError | None = None
    servers_now: dict[str, Server] = field(default_factory=dict)

    def servers(self) -> dict[str, Server]:
        return dict(self.servers_now)

    def set_admin(self, server: str, admin: Any) -> None:
        self.set_admins((server, admin))

    def set_admins(self, *changes: tuple[str, Any]) -> None:
        if self.broken:
            raise self.broken
        for server, admin in changes:
            self.said.append(f"{server} {admin}")
            self.servers_now[server] = replace(self.servers_now[server], admin=admin, up=admin != "maint")

    @contextmanager
    def opened(self) -> Iterator[None]:
        yield

    def held(self) -> Hold:
        return Hold("none", 0)

    def demand_check(self, server: str) -> None:
        self.said.append(f"{server} check")
        self.servers_now[server] = replace(self.servers_now[server], admin="drain", up=self.reachable)

    def shutdown_sessions(self, server: str) -> None:
        self.said.append(f"{server} shutdown")


@dataclass
class ColourContainer:
    """One colour; what it holds, and how it behaves once it is a candidate."""

    said: list[str]
    name: str
    holds: Release | None = None
    phase: str = "ready"
    running: bool = True
    sound: bool = True
    work: int = 0

    def release(self) -> Release | None:
        return self.holds

    def look(self, at: float) -> Look:
        return Look(at, running=self.running, exit_code=None if self.running else 7, phase=self.phase)

    def status(self) -> Status:
        return Status(phase=self.phase, sample_rate=22050)

    def load(self, sessions: int, queued: int) -> Load:
        return Load(sessions, queued, self.work)

    def speak(self, text: str, voice: str, timeout_s: float) -> Spoken:  # noqa: ARG002 - as the driver's
        wav = speech(text)
        return Spoken(wav if self.sound else wav[:44] + bytes(len(wav) - 44), 0.1, 0.1)

    def set_cpu_weight(self, weight: int) -> None:
        self.said.append(f"{self.name} weight {weight}")

    def stop(self, grace_s: int) -> None:  # noqa: ARG002 - as the driver's
        self.said.append(f"{self.name} stopped")

    def remove(self) -> str:
        self.said.append(f"{self.name} removed")
        self.holds = None
        return "its last words"


class Target:
    """OLD is live in blue; green is free. `said` is everything that was done, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.records: list[dict[str, Any]] = []
        root = Path(tempfile.mkdtemp())
        weakref.finalize(self, shutil.rmtree, root)
        (root / "golden").mkdir()
        (root / "golden/joe.yaml").write_text(GOLDEN)
        self.settings = Settings(root=root, drain_timeout_s=10)
        self.clock = Clock()
        self.proxy = Proxy(self.said)
        self.proxy.servers_now = {"blue-1": replace(SERVER, admin="ready", up=True), "green-1": SERVER}
        self.colours = {colour: ColourContainer(self.said, colour.value) for colour in Colour}
        self.colours[Colour.BLUE].holds = OLD
        self.engine = SimpleNamespace(image=lambda _reference: SimpleNamespace(labels={}), now=time.time)
        self.compose = SimpleNamespace(up=self._up, check=lambda: None)
        self.journal = SimpleNamespace(append=self._append, opened=self.proxy.opened)
        self.lost: LineError | None = None
        self.lease = SimpleNamespace(held=self._held)
        self.proxy_image = "proxy"
        self.env: list[tuple[Colour | None, dict[str, str]]] = []

    def _up(self, service: str) -> None:
        self.said.append(f"{service} up")
        self.colours[Colour(service.removeprefix("app-"))].holds = NEW

    def _append(self, **record: Any) -> None:
        self.records.append({"seq": len(self.records), "at": "t", **record})

    @contextmanager
    def _held(self, _image: str, what: str, **_patience: Any) -> Iterator[Any]:
        self.said.append(f"lease for {what}")
        try:
            yield SimpleNamespace(check=self._check)
        finally:
            self.said.append("released")

    def _check(self) -> None:
        if self.lost:
            raise self.lost

    def refresh_env(self, live: Colour | None, **planned: str) -> None:
        self.env.append((live, planned))

    def published(self) -> str:
        return "127.0.0.1:7860"

    def survey(self) -> Stack:
        return {
            colour: ColourFacts(
                release=container.holds,
                container="running" if container.holds else "absent",
                admin=self.proxy.servers_now[colour.server].admin,
                usable=True,
            )
            for colour, container in self.colours.items()
        }

    def live(self, stack: Stack) -> Colour | None:
        return pure.live(stack)

    def history(self) -> list[history.Cutover]:
        return history.read(self.records)

    @property
    def ended(self) -> str:
        """How the newest cutover ended, by the journal."""
        return str(self.history()[-1].state)


class Report:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)

    note = step
