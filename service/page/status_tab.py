"""The tab that shows the state of the service; its script (scripts/head.js) polls only while it is visible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request

from service.hardware.gpu import Device, GpuReadings
from service.metrics.metrics import Metrics
from service.page.language import Labels, Translator, translator_for
from service.synthesis.fair_queue import Priority
from service.synthesis.scheduler import Scheduler

GIB = 1024**3


def lay_out(gr: Any, label: Labels) -> None:
    """Create the list that scripts/head.js fills."""
    gr.HTML(f'<dl id="status"><dt></dt><dd>{label("Loading.")}</dd></dl>')


def status_routes(status: Callable[[], dict[str, Any]], scheduler: Scheduler, metrics: Metrics) -> APIRouter:
    """Return the route GET /status.json, for the page."""
    router = APIRouter(include_in_schema=False)

    # The path is not part of the API, so the proxy routes it by the colour cookie.
    @router.get("/status.json")
    async def rows(request: Request) -> dict[str, list[tuple[str, str]]]:
        say = translator_for(request.headers)
        return {"rows": _rows(status(), scheduler, metrics, say) + _gpus(await metrics.gpus.refresh(), say)}

    return router


def _rows(now: dict[str, Any], scheduler: Scheduler, metrics: Metrics, say: Translator) -> list[tuple[str, str]]:
    age, phase = now["last_inference_age_s"], say(now["phase"])
    spoken = metrics.registry.get_sample_value("tts_audio_seconds_total") or 0.0
    texts = (
        "1 text, {seconds:.1f} s of audio" if scheduler.completed == 1 else "{count} texts, {seconds:.1f} s of audio"
    )
    running = scheduler.jobs - scheduler.waiting
    return [
        (say("Release"), now["release"]),
        (say("Engine"), now["engine"]),
        (say("Device"), now["device"] or say("none (no model is loaded)")),
        (say("Phase"), f"{phase}: {now['error']}" if now["error"] else phase),
        (say("Waiting"), _waiting(scheduler, Priority.PEOPLE, say)),
        (say("Waiting batch lines"), _waiting(scheduler, Priority.BATCH, say)),
        (say("In progress"), say("{count} (at most {most})", count=running, most=scheduler.slots)),
        (say("Completed since the start"), say(texts, count=scheduler.completed, seconds=spoken)),
        (say("Last inference"), say("none yet") if age is None else say("{seconds:.0f} s ago", seconds=age)),
    ]


def _waiting(scheduler: Scheduler, priority: Priority, say: Translator) -> str:
    count, most = scheduler.waiting_of(priority), scheduler.capacity_of(priority)
    return say("{count} (at most {most})", count=count, most=most)


def _gpus(readings: GpuReadings | None, say: Translator) -> list[tuple[str, str]]:
    if readings is None:
        return [("GPU", say("none"))]
    rows = [(f"GPU {index}", f"{device.name}, {_memory(device, say)}") for index, device in enumerate(readings.devices)]
    return rows if readings.whole else [*rows, ("GPU", say("a GPU or its driver does not respond"))]


def _memory(device: Device, say: Translator) -> str:
    if device.memory_used is None or device.memory_size is None:
        return say("memory unknown")
    used, size = device.memory_used / GIB, device.memory_size / GIB
    return say("{used:.1f} of {size:.1f} GiB used", used=used, size=size)
