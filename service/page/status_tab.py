"""The tab that shows the state of the service; it polls only while it is visible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from service.hardware.gpu import Device, GpuReadings
from service.metrics.metrics import Metrics
from service.synthesis.fair_queue import Priority
from service.synthesis.scheduler import Scheduler

PATH = "/status.json"
GIB = 1024**3

PANEL = '<dl id="status" aria-label="Status"><dt>Status</dt><dd>Loading.</dd></dl>'

# Not a Gradio timer: that also ticks in hidden tabs. Each tick would count as tab work, and a drain would never see the
# tab idle. The path is not part of the API, so the proxy routes it by the colour cookie.
SCRIPT = f"""<script>
(() => {{
  const EVERY_MS = 3000;
  let requested = 0;
  const show = rows => {{
    const list = document.getElementById("status");
    list?.replaceChildren(...rows.flatMap(row => row.map((text, place) => {{
      const cell = document.createElement(place ? "dd" : "dt");
      cell.textContent = text;
      return cell;
    }})));
  }};
  const refresh = async () => {{
    const list = document.getElementById("status");
    if (document.hidden || !list || !list.getClientRects().length) {{ requested = 0; return; }}
    if (Date.now() - requested < EVERY_MS) return;
    requested = Date.now();
    try {{
      const response = await fetch("{PATH}", {{cache: "no-store"}});
      if (!response.ok) throw response.status;
      show((await response.json()).rows);
    }} catch (problem) {{
      show([["Status", "No response; retrying."]]);
    }}
  }};
  setInterval(refresh, 250);
}})();
</script>"""


def status_routes(status: Callable[[], dict[str, Any]], scheduler: Scheduler, metrics: Metrics) -> APIRouter:
    """Return the route GET /status.json, for the page."""
    router = APIRouter(include_in_schema=False)

    @router.get(PATH)
    async def rows() -> dict[str, list[tuple[str, str]]]:
        return {"rows": _rows(status(), scheduler, metrics) + _gpus(await metrics.gpus.refresh())}

    return router


def _rows(now: dict[str, Any], scheduler: Scheduler, metrics: Metrics) -> list[tuple[str, str]]:
    age = now["last_inference_age_s"]
    spoken = metrics.registry.get_sample_value("tts_audio_seconds_total") or 0.0
    texts = "1 text" if scheduler.completed == 1 else f"{scheduler.completed} texts"
    return [
        ("Release", now["release"]),
        ("Engine", now["engine"]),
        ("Device", now["device"] or "none (no model is loaded)"),
        ("Phase", f"{now['phase']}: {now['error']}" if now["error"] else str(now["phase"])),
        ("Waiting", _waiting(scheduler, Priority.PEOPLE)),
        ("Waiting batch lines", _waiting(scheduler, Priority.BATCH)),
        ("In progress", f"{scheduler.jobs - scheduler.waiting} (at most {scheduler.slots})"),
        ("Completed since the start", f"{texts}, {spoken:.1f} s of audio"),
        ("Last inference", "none yet" if age is None else f"{age:.0f} s ago"),
    ]


def _waiting(scheduler: Scheduler, priority: Priority) -> str:
    return f"{scheduler.waiting_of(priority)} (at most {scheduler.capacity_of(priority)})"


def _gpus(readings: GpuReadings | None) -> list[tuple[str, str]]:
    if readings is None:
        return [("GPU", "none")]
    rows = [(f"GPU {index}", f"{device.name}, {_memory(device)}") for index, device in enumerate(readings.devices)]
    return rows if readings.whole else [*rows, ("GPU", "a GPU or its driver does not respond")]


def _memory(device: Device) -> str:
    if device.memory_used is None or device.memory_size is None:
        return "memory unknown"
    return f"{device.memory_used / GIB:.1f} of {device.memory_size / GIB:.1f} GiB used"
