"""What the GPUs hold, by NVML (nvidia-ml-py): it needs no CUDA context, and so costs no GPU memory to ask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

_CGROUP = "cgroup"


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
