"""Collectors that run at each scrape: memory of the process, and the GPUs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import psutil
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from service.hardware.gpu import Device, GpuReadings, Nvml

logger = logging.getLogger(__name__)

_TIMEOUT_S = 0.5
"""Longest time (seconds) that a scrape waits for the GPU driver."""


class Memory:
    """Growth of the process's memory while one model is loaded, and the number of threads."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._at_ready: int | None = None

    def ready(self) -> None:
        """Record the memory of a loaded and tested model as the baseline."""
        self._at_ready = self._resident()

    def unloaded(self) -> None:
        """Clear the baseline until the next model is ready."""
        self._at_ready = None

    def collect(self) -> Iterator[Metric]:
        """Implement prometheus_client's Collector."""
        with contextlib.suppress(psutil.Error, OSError):
            yield GaugeMetricFamily("tts_process_threads", "Threads of the process", self._process.num_threads())
        now = self._resident()
        if now is not None and self._at_ready is not None:
            meaning = "Growth of resident memory since the loaded model became ready; absent without a model"
            yield GaugeMetricFamily("tts_process_resident_memory_growth_bytes", meaning, now - self._at_ready)

    def _resident(self) -> int | None:
        with contextlib.suppress(psutil.Error, OSError):
            return self._process.memory_info().rss
        return None


class Gpus:
    """State of the GPUs from NVML; no metrics without NVML.

    A hanging driver blocks one daemon thread: the event loop and the exit of the process do not wait for it. A scrape
    waits half a second, and no second thread starts meanwhile.
    """

    def __init__(self) -> None:
        self._nvml = Nvml()
        self._reading: Future[GpuReadings | None] | None = None
        self._began = 0.0
        self._readings: GpuReadings | None = None

    async def refresh(self) -> GpuReadings | None:
        """Read the GPUs, or join a running read until it is half a second old.

        Return the result; None without NVML.
        """
        if self._reading is None or self._reading.done():
            self._reading, self._began = Future(), time.monotonic()
            self._start(self._reading)
        reading, remaining = self._reading, self._began + _TIMEOUT_S - time.monotonic()
        if remaining > 0:
            await asyncio.wait({asyncio.wrap_future(reading)}, timeout=remaining)
            if not reading.done():
                logger.warning("the GPU driver has not responded for %g s; the metrics omit the GPUs", _TIMEOUT_S)
        # Use this read's result: another scrape may have started the next one.
        self._readings = reading.result() if reading.done() else GpuReadings([], whole=False)
        return self._readings

    def _start(self, reading: Future[GpuReadings | None]) -> None:
        def run() -> None:
            try:
                reading.set_result(self._nvml.read())
            except Exception:  # whatever fails, the other metrics must still be reported
                logger.exception("reading the GPUs failed")
                reading.set_result(GpuReadings([], whole=False))

        try:
            threading.Thread(target=run, name="nvml", daemon=True).start()
        except RuntimeError:  # no more threads available
            reading.set_result(GpuReadings([], whole=False))

    def collect(self) -> Iterator[Metric]:
        """Implement prometheus_client's Collector; call `refresh` first."""
        readings = self._readings
        if readings is None:
            return
        meaning = "1 if every GPU was read; 0 if one failed or the driver took more than half a second"
        yield GaugeMetricFamily("tts_gpu_read_success", meaning, readings.whole)
        known = InfoMetricFamily("tts_gpu", "A visible GPU, as labels; always 1", labels=["uuid"])
        for device in readings.devices:
            known.add_metric([device.uuid], {"name": device.name})
        yield known
        for name, meaning, value in _GAUGES:
            family = GaugeMetricFamily(name, meaning, labels=["uuid"])
            for device in readings.devices:
                if (found := value(device)) is not None:
                    family.add_metric([device.uuid], found)
            yield family


_GAUGES: tuple[tuple[str, str, Callable[[Device], float | None]], ...] = (
    (
        "tts_gpu_utilization_ratio",
        "Share of the driver's last sample period in which a kernel ran",
        lambda device: device.utilization,
    ),
    ("tts_gpu_memory_used_bytes", "Memory in use by this and other processes", lambda device: device.memory_used),
    ("tts_gpu_memory_size_bytes", "Total memory of the GPU", lambda device: device.memory_size),
    ("tts_gpu_temperature_celsius", "Temperature of the GPU", lambda device: device.temperature),
    ("tts_gpu_power_watts", "Power draw of the board", lambda device: device.power),
)
