"""GPU state from NVML (nvidia-ml-py); it needs no CUDA context and so no GPU memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_CGROUP = "cgroup"


class Device(NamedTuple):
    """State of one GPU in bytes, ratios 0 to 1, degrees Celsius, watts; None for an unsupported value."""

    uuid: str
    name: str
    memory_size: int | None
    memory_used: int | None
    utilization: float | None
    temperature: int | None
    power: float | None


class GpuReadings(NamedTuple):
    """The GPUs that NVML could read; `whole` if it could read all."""

    devices: list[Device]
    whole: bool


def read() -> dict[str, Any]:
    """Return the devices with memory in bytes and the processes that use it; without NVML no devices, and `why`."""
    try:
        import pynvml  # noqa: PLC0415 - the probe's other commands must start fast
    except ImportError as error:
        return {"devices": [], "driver": "", "why": f"nvidia-ml-py is not installed: {error}"}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return {"devices": [], "driver": "", "why": str(error)}
    try:
        devices = [_device(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        return {"devices": devices, "driver": pynvml.nvmlSystemGetDriverVersion(), "why": ""}
    except pynvml.NVMLError as error:
        return {"devices": [], "driver": "", "why": f"NVML failed: {error}"}
    finally:
        pynvml.nvmlShutdown()


def _device(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "index": index,
        "uuid": nvml.nvmlDeviceGetUUID(handle),
        "name": nvml.nvmlDeviceGetName(handle),
        "total": memory.total,
        "free": memory.free,
        "used": memory.used,
        "processes": [
            # Some drivers (MIG, WSL) do not report it: None.
            {"pid": process.pid, "used": process.usedGpuMemory, "mine": is_mine(process.pid)}
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ],
    }


def is_mine(pid: int, proc: Callable[..., Path] = lambda *parts: Path("/proc", *parts)) -> bool:
    """Return whether the process is in this container; also False for a pid of the host, which some drivers return."""
    try:
        return proc(str(pid), _CGROUP).read_text() == proc("self", _CGROUP).read_text()
    except OSError:
        return False


class Nvml:
    """Repeated reads over one NVML connection: opening it is expensive."""

    def __init__(self) -> None:
        self._open = False
        self._found_before = False

    def read(self) -> GpuReadings | None:
        """Read the GPUs; None without NVML. Blocking, without a time limit."""
        try:
            import pynvml  # noqa: PLC0415 - as in read
        except ImportError:
            return None
        try:
            if not self._open:
                pynvml.nvmlInit()
                self._open = self._found_before = True
            found = [_read_device(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
            if error.value in absent and not self._found_before:
                return None
            found = [None]
        devices = [device for device in found if device]
        whole = len(devices) == len(found)
        if self._open and not whole:
            self._close(pynvml)
        return GpuReadings(devices, whole)

    def _close(self, nvml: Any) -> None:
        """Close the connection, so that the next read opens a new one, which may succeed."""
        self._open = False
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _read_device(nvml: Any, index: int) -> Device | None:
    """Return the state of one GPU; None if it fails, for example after it has fallen off the bus."""
    unsupported = (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND, nvml.NVML_ERROR_NO_PERMISSION)

    def optional(query: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return query(*arguments)
        except nvml.NVMLError as error:
            if error.value in unsupported:  # with MIG, in a virtual machine, on a small card
                return None
            raise

    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = optional(nvml.nvmlDeviceGetMemoryInfo, handle)
        busy = optional(nvml.nvmlDeviceGetUtilizationRates, handle)
        milliwatts = optional(nvml.nvmlDeviceGetPowerUsage, handle)
        return Device(
            uuid=nvml.nvmlDeviceGetUUID(handle),
            name=nvml.nvmlDeviceGetName(handle),
            memory_size=memory and memory.total,
            memory_used=memory and memory.used,
            utilization=busy and busy.gpu / 100,
            temperature=optional(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            power=milliwatts if milliwatts is None else milliwatts / 1000,
        )
    except nvml.NVMLError:
        return None
