"""In-memory drivers: they record their calls, and attributes set their behaviour."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from build.model.colours import Slot
from build.model.release import Release
from build.proxy.types import Server
from build.target.container import ServiceStatus
from build.target.cpu import HostCpu
from build.target.gpu import Device, Process, View
from build.target.in_flight import Count, Load
from build.target.readiness import ContainerSnapshot
from build.target.synthesis import SynthesisResponse

PIDS = {"blue": 11, "green": 21, "": 666}
SERVER = Server(admin="maint", up=False, check="L7OK", sessions=0, queued=0, rate=0, total=0, errors=0)


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
        self.hurried_at = float("inf")  # when a second interrupt arrives

    @property
    def hurried(self) -> bool:
        return self.time >= self.hurried_at

    def now(self) -> float:
        return self.time

    def polls(self, every_s: float = 0.5) -> Iterator[float]:
        while True:
            yield self.time
            self.time += every_s


@dataclass
class Gpu:
    """One device with the memory of each colour and of a foreign process."""

    total: int
    claims: dict[str, int] = field(default_factory=dict)
    foreign: int = 0

    def view(self, observer: str) -> View:
        used = {**self.claims, "": self.foreign}
        processes = tuple(
            Process(PIDS[name], size, mine=bool(name) and name == observer) for name, size in used.items() if size
        )
        return View((Device("GPU-1", "Fake", self.total, self.total - sum(used.values()), processes),))


@dataclass
class Orders:
    """Start orders of each colour."""

    calls: list[str]
    parked: set[str] = field(default_factory=set)
    devices: dict[str, str] = field(default_factory=dict)

    def park(self, *names: str) -> None:
        self.parked |= set(names)

    def unpark(self, *names: str) -> None:
        self.parked -= set(names)

    def write(self, name: str, *, parked: bool, device: str) -> None:
        self.parked = self.parked | {name} if parked else self.parked - {name}
        self.devices[name] = device


@dataclass
class Reservations:
    """Owners by device, and all requests."""

    owners: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def acquire(self, owner: str, devices: Sequence[str], image: str, expiry_s: float) -> str:  # noqa: ARG002 - as the driver's
        self.requests.append((owner, tuple(devices)))
        holder = next((self.owners[device] for device in devices if self.owners.get(device, owner) != owner), "")
        if not holder:
            self.owners |= dict.fromkeys(devices, owner)
        return holder

    def release(self, owner: str) -> None:
        self.owners = {device: holder for device, holder in self.owners.items() if holder != owner}


@dataclass
class ColourContainer:
    """The container of one colour: its release and its behaviour."""

    calls: list[str]
    name: str
    holds: Release | None = None
    phase: str = "ready"
    running: bool = True
    audible: bool = True
    work: int = 0
    classes: dict[str, Count] = field(default_factory=dict)  # empty: a release that predates request classes
    ignores_abort: bool = False
    model: int = 8
    retained: int = 0  # GPU memory that an unload does not free
    can_load: bool = True
    life: str = "first"
    texts: list[str] = field(default_factory=list)  # synthesized texts
    exits_on_stop: bool = False
    device: Gpu | None = None

    @property
    def slot(self) -> Slot:
        return Slot(self.name, 1)

    @property
    def replicas(self) -> list[ColourContainer]:
        return [self] if self.holds else []

    def owned(self, _confirm: Callable[[], int]) -> ColourContainer:
        return self

    def find(self) -> object | None:
        return self.holds

    @property
    def crashed(self) -> bool:
        return self.holds is None or not self.running

    def gpu(self) -> View:
        return self.device.view(self.name) if self.device else View(why="no NVML")

    def pids(self) -> frozenset[int]:
        return frozenset({PIDS[self.name]})

    def claim(self, size: int) -> None:
        if self.device:
            self.device.claims[self.name] = size

    def control(self, command: str, timeout_s: float) -> str:  # noqa: ARG002 - as the driver's
        self.calls.append(f"{self.name} {command}")
        if command.startswith("cut "):
            self._abort(*command.split()[1:])
            return ""
        self.phase = "unloaded"
        self.claim(self.retained)
        return ""

    def _abort(self, kind: str, only: str = "") -> None:
        count = self.classes.get(kind)
        if count and not only and not self.ignores_abort:
            ended, self.work = count.cut + count.in_flight, self.work - count.in_flight * (kind != "stream")
            self.classes[kind] = replace(count, in_flight=0, idle=0, cut=ended)

    def begin_load(self) -> None:
        self.calls.append(f"{self.name} load")
        free = self.device.total - sum(self.device.claims.values()) if self.device else self.model
        if not self.can_load or free < self.model:
            self.phase = "failed"
            return
        self.phase = "ready"
        self.claim(self.model)

    def start(self) -> None:
        self.calls.append(f"{self.name} started")
        self.running, self.phase = True, "ready"
        self.claim(self.model)

    def release(self) -> Release | None:
        return self.holds

    def snapshot(self, at: float) -> ContainerSnapshot:
        return ContainerSnapshot(at, running=self.running, exit_code=None if self.running else 7, phase=self.phase)

    def status(self) -> ServiceStatus:
        streams = self.classes["stream"].in_flight if "stream" in self.classes else 0
        return ServiceStatus(
            phase=self.phase, sample_rate=22050, requests=self.work, streams=streams, classes=dict(self.classes)
        )

    def load(self, sessions: int, queued: int) -> Load:
        return Load(sessions, queued, self.work)

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:  # noqa: ARG002 - as the driver's
        self.texts.append(text)
        wav = speech(text)
        return SynthesisResponse(wav if self.audible else wav[:44] + bytes(len(wav) - 44), 0.1, 0.1)

    def speak_through(self, proxy: str, server: str, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        self.calls.append(f"synthesis on {server} through {proxy}")
        return self.speak(text, voice, timeout_s)

    def host_cpu(self) -> HostCpu:
        return HostCpu()

    def set_cpu_weight(self, weight: int) -> None:
        self.calls.append(f"{self.name} weight {weight}")

    def stop(self, grace_s: int) -> None:  # noqa: ARG002 - as the driver's
        self.calls.append(f"{self.name} stopped")
        self.claim(0)
        self.running = self.running and not self.exits_on_stop

    def remove(self) -> str:
        self.calls.append(f"{self.name} removed")
        self.claim(0)
        self.holds = None
        return "last log lines"
