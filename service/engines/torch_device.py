"""torch's device, the CPU or the GPU of this process, and the memory used on it."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch

from service.engine import EngineError, EngineFatalError, NoMemoryError
from service.engines import embedded_voice, error_messages
from service.hardware import gpu

logger = logging.getLogger(__name__)

T = TypeVar("T")

MIB = 1 << 20


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether the error is only out of memory, so that a smaller task may succeed."""
    return isinstance(error, torch.OutOfMemoryError) or error_messages.means_out_of_memory(str(error))


def is_fatal(error: RuntimeError) -> bool:
    """Return whether the error comes from CUDA, so that later calls may fail too."""
    broken = isinstance(error, torch.AcceleratorError) or error_messages.means_broken_cuda(str(error))
    return broken and not is_out_of_memory(error)


class Cpu:
    """The CPU; used only if it is requested."""

    where = torch.device("cpu")
    name = "cpu"

    def open(self) -> str:
        """Return a line for the log; nothing to open."""
        return f"torch {torch.__version__} computes on the CPU"

    def describe_free_memory(self) -> str:
        """Return that the free memory is unknown: the system overcommits it."""
        return "free memory is unknown"

    def empty(self) -> None:
        """Free cached memory."""
        gc.collect()

    def close(self) -> str:
        """Return the memory of a dropped model to the system; return a line for the log."""
        embedded_voice.trim_memory()
        return "released the memory of the model"


class Cuda:
    """CUDA's first GPU; the orchestrator selects it by CUDA_VISIBLE_DEVICES.

    The CUDA context stays until the process ends. Only NVML reports its size: the difference between the GPU's memory
    before first use and its memory while torch holds none.
    """

    where = torch.device("cuda", 0)

    def __init__(self) -> None:
        self.name = "cuda"
        self.context_bytes: int | None = None
        self._uuid = ""
        self._before: dict[str, int] = {}

    def open(self) -> str:
        """Create the context and return a line for the log; raise EngineError without a GPU or memory for a context."""
        self._before = self._before or _used()
        try:
            torch.cuda.init()
            properties = torch.cuda.get_device_properties(self.where)
            torch.ones(1, device=self.where)
        except (RuntimeError, AssertionError) as error:  # a torch without CUDA raises AssertionError
            raise EngineError(_describe_gpu_error(error)) from error
        self.name = f"cuda ({properties.name})"
        self._uuid = f"GPU-{properties.uuid}"
        self._measure()
        return f"torch {torch.__version__} computes on {self.name}; the CUDA context takes {self._context()}"

    def describe_free_memory(self) -> str:
        """Return the free and total memory of the GPU."""
        free, total = torch.cuda.mem_get_info(self.where)
        return f"{free / MIB:.0f} of {total / MIB:.0f} MiB are free on the GPU"

    def empty(self) -> None:
        """Free the memory that torch caches."""
        gc.collect()
        torch.cuda.empty_cache()

    def close(self) -> str:
        """Free everything but the context; return a line for the log. Raise EngineError if memory stays allocated."""
        # cuBLAS keeps a workspace per thread in torch's memory; there is no public call to free it.
        torch._C._cuda_clearCublasWorkspaces()
        self.empty()
        embedded_voice.trim_memory()
        reserved = torch.cuda.memory_reserved(self.where)
        if reserved:
            raise EngineError(
                f"{reserved / MIB:.0f} MiB of GPU memory are still allocated after the model was unloaded"
            )
        self._measure()
        return f"released the GPU memory of the model; the CUDA context keeps {self._context()}"

    def _measure(self) -> None:
        used, before = _used().get(self._uuid), self._before.get(self._uuid)
        if used is None or before is None:
            self.context_bytes = None
        else:
            self.context_bytes = max(0, used - before - torch.cuda.memory_reserved(self.where))

    def _context(self) -> str:
        return "an unknown size (no NVML)" if self.context_bytes is None else f"{self.context_bytes / MIB:.0f} MiB"


@cache
def choose(kind: str) -> Cpu | Cuda:
    """Return the device of a setting, `cuda` or `cpu`; one instance per process, like its CUDA context."""
    return Cpu() if kind == "cpu" else Cuda()


def guarded(device: Cpu | Cuda, work: Callable[[], T], task: str) -> T:
    """Run `work` on the open device and return its result; `task` names it in messages.

    Raise NoMemoryError if memory is too small for it, EngineFatalError if the device can no longer work.
    """
    try:
        return work()
    except RuntimeError as error:
        if is_fatal(error):
            raise EngineFatalError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
        if not is_out_of_memory(error):
            raise
    # Outside the handler: until it ends, the traceback of the error keeps the memory of `work` alive.
    device.empty()
    raise NoMemoryError(f"too little memory for {task}: {device.describe_free_memory()}")


def why_no_gpu() -> str:
    """Return why torch cannot use a GPU; empty if it can. Creates no CUDA context."""
    return "" if torch.cuda.is_available() else _describe_gpu_error(RuntimeError("torch finds no GPU"))


def _used() -> dict[str, int]:
    """Return the bytes in use on each GPU by UUID, by all processes."""
    return {device["uuid"]: device["used"] for device in gpu.read()["devices"]}


def _describe_gpu_error(error: Exception) -> str:
    reason = str(error).partition("\n")[0].rstrip(".")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    scope = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible})"
    if isinstance(error, RuntimeError) and is_out_of_memory(error):
        free = [f"{device['free'] / MIB:.0f} MiB on {device['uuid']}" for device in gpu.read()["devices"]]
        return f"too little GPU memory for a CUDA context (some hundred MiB){scope}: {reason}; free: {', '.join(free)}"
    return (
        f"torch cannot use a GPU{scope}: {reason}. Give the container a GPU (Docker's runtime nvidia and a recent "
        "driver), or, for engine vits, set TTS_DEVICE=cpu to run on the CPU"
    )
