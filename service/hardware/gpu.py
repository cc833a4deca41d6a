"""What the GPUs hold, by NVML (nvidia-ml-py): it needs no CUDA context, and so costs no GPU memory to ask."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_CGROUP = "cgroup"


class Device(NamedTuple):
    """One GPU as it is now: bytes, 0 to 1, degrees Celsius, watts; None for what its driver cannot tell."""

    uuid: str
    name: str
    memory_size: int | None
    memory_used: int | None
    utilization: float | None
    temperature: int | None
    power: float | None


class Seen(NamedTuple):
    """The GPUs that answered; `whole` when all did."""

    devices: list[Device]
    whole: bool


def read() -> dict[str, Any]:
    """Devices with memory in bytes and the processes that hold it; none, and `why`, where there is no NVML."""
    try:
        import pynvml  # noqa: PLC0415 - the probe must start fast for those who ask for something else
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
        return {"devices": [], "driver": "", "why": f"NVML broke off: {error}"}
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
            # Some drivers (MIG, WSL) do not say how much: None.
            {"pid": process.pid, "used": process.usedGpuMemory, "mine": is_mine(process.pid)}
            for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        ],
    }


def is_mine(pid: int, proc: Callable[..., Path] = lambda *parts: Path("/proc", *parts)) -> bool:
    """Is it a process of this container? False also for a pid as the host counts, which some drivers give."""
    try:
        return proc(str(pid), _CGROUP).read_text() == proc("self", _CGROUP).read_text()
    except OSError:
        return False


class Nvml:
    """Looks at the GPUs again and again, by a connection that stays open: it is opening one that is dear."""

    def __init__(self) -> None:
        self._open = False
        self._was_there = False

    def look(self) -> Seen | None:
        """The GPUs as they are; None where there is no NVML. Blocking, for as long as the driver likes."""
        try:
            import pynvml  # noqa: PLC0415 - as in read
        except ImportError:
            return None
        try:
            if not self._open:
                pynvml.nvmlInit()
                self._open = self._was_there = True
            found = [_sensed(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            absent = (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
            if error.value in absent and not self._was_there:
                return None
            found = [None]
        devices = [device for device in found if device]
        whole = len(devices) == len(found)
        if self._open and not whole:
            self._close(pynvml)
        return Seen(devices, whole)

    def _close(self, nvml: Any) -> None:
        """Have the next look begin anew: what failed may work by a new connection."""
        self._open = False
        with contextlib.suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _sensed(nvml: Any, index: int) -> Device | None:
    """What one GPU tells; None when it fails, as one does that has fallen off the bus."""
    dumb = (nvml.NVML_ERROR_NOT_SUPPORTED, nvml.NVML_ERROR_FUNCTION_NOT_FOUND, nvml.NVML_ERROR_NO_PERMISSION)

    def told(ask: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except nvml.NVMLError as error:
            if error.value in dumb:  # with MIG, in a virtual machine, on a small card
                return None
            raise

    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = told(nvml.nvmlDeviceGetMemoryInfo, handle)
        busy = told(nvml.nvmlDeviceGetUtilizationRates, handle)
        milliwatts = told(nvml.nvmlDeviceGetPowerUsage, handle)
        return Device(
            uuid=nvml.nvmlDeviceGetUUID(handle),
            name=nvml.nvmlDeviceGetName(handle),
            memory_size=memory and memory.total,
            memory_used=memory and memory.used,
            utilization=busy and busy.gpu / 100,
            temperature=told(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            power=milliwatts if milliwatts is None else milliwatts / 1000,
        )
    except nvml.NVMLError:
        return None
