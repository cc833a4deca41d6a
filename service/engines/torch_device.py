"""Where torch computes, and the memory that it takes there: the CPU, or the GPU that this process was given."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch

from service.engine import BrokenError, EngineError, NoMemoryError
from service.engines import embedded_voice
from service.hardware import gpu

logger = logging.getLogger(__name__)

T = TypeVar("T")

MIB = 1 << 20
# What CUDA, its libraries and the CPU's allocator say where torch has no type for it. None of them breaks the context.
_NO_MEMORY = ("out of memory", "ALLOC_FAILED", "not enough memory", "can't allocate memory")
# The context may be gone: after an illegal access every later call fails, too.
_BROKEN = ("CUDA error", "CUDA driver error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Was there only too little memory, so that a smaller thing may still succeed?"""
    return isinstance(error, torch.OutOfMemoryError) or any(mark in str(error) for mark in _NO_MEMORY)


def is_fatal(error: RuntimeError) -> bool:
    """Does it come from CUDA, so that nobody can tell what still works?"""
    broken = isinstance(error, torch.AcceleratorError) or any(mark in str(error) for mark in _BROKEN)
    return broken and not is_out_of_memory(error)


class Cpu:
    """The processor's cores; only for who asks for it."""

    where = torch.device("cpu")
    name = "cpu"

    def open(self) -> str:
        """Nothing needs opening; a line for the log."""
        return f"torch {torch.__version__} computes on the CPU"

    def room(self) -> str:
        """Nobody can tell: memory is promised beyond what there is."""
        return "how much memory is free is not known"

    def empty(self) -> None:
        """Hand back what is held for later use."""
        gc.collect()

    def close(self) -> str:
        """Hand back what a dropped model leaves; a line for the log."""
        embedded_voice.give_back()
        return "the memory of the model is given back"


class Cuda:
    """The GPU that CUDA counts first: which one that is the orders say, by CUDA_VISIBLE_DEVICES.

    The CUDA context stays until the process ends, and cannot be given back. How much that is tells NVML alone: what
    the whole GPU held before the first use, and what it holds when torch holds nothing.
    """

    where = torch.device("cuda", 0)

    def __init__(self) -> None:
        self.name = "cuda"
        self.context_bytes: int | None = None
        self._uuid = ""
        self._before: dict[str, int] = {}

    def open(self) -> str:
        """Make the context; a line for the log. Raise EngineError where there is no GPU, or no room for a context."""
        self._before = self._before or _used()
        try:
            torch.cuda.init()
            properties = torch.cuda.get_device_properties(self.where)
            torch.ones(1, device=self.where)
        except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
            raise EngineError(_why_not(error)) from error
        self.name = f"cuda ({properties.name})"
        self._uuid = f"GPU-{properties.uuid}"
        self._measure()
        return f"torch {torch.__version__} computes on {self.name}; the CUDA context takes {self._context()}"

    def room(self) -> str:
        """Free and whole memory of the GPU."""
        free, total = torch.cuda.mem_get_info(self.where)
        return f"{free / MIB:.0f} of {total / MIB:.0f} MiB are free on the GPU"

    def empty(self) -> None:
        """Hand back what torch holds for later use."""
        gc.collect()
        torch.cuda.empty_cache()

    def close(self) -> str:
        """Hand back everything but the context; a line for the log. Raise EngineError when something is still held."""
        # cuBLAS keeps a workspace for each thread, out of torch's reserve; there is no public call for it.
        torch._C._cuda_clearCublasWorkspaces()
        self.empty()
        embedded_voice.give_back()
        held = torch.cuda.memory_reserved(self.where)
        if held:
            raise EngineError(f"{held / MIB:.0f} MiB of GPU memory are still held after the model was dropped")
        self._measure()
        return f"the GPU memory of the model is given back; the CUDA context keeps {self._context()}"

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
    """The device of a setting, `cuda` or `cpu`: one for the whole process, as its CUDA context is."""
    return Cpu() if kind == "cpu" else Cuda()


def guarded(device: Cpu | Cuda, work: Callable[[], T], what: str) -> T:
    """What `work` gives on the device, which is open; `what` names it in messages.

    Raise NoMemoryError when there was too little memory for it, BrokenError when nothing works any more.
    """
    try:
        return work()
    except RuntimeError as error:
        if is_fatal(error):
            raise BrokenError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
        if not is_out_of_memory(error):
            raise
    # Not in the handler: until it ends, the error's traceback holds what the work had taken.
    device.empty()
    raise NoMemoryError(f"too little memory for {what}: {device.room()}")


def why_no_gpu() -> str:
    """Why torch can use no GPU; empty when it can. Makes no CUDA context."""
    return "" if torch.cuda.is_available() else _why_not(RuntimeError("torch finds none"))


def _used() -> dict[str, int]:
    """Bytes held on each GPU by UUID, by whomever."""
    return {each["uuid"]: each["used"] for each in gpu.read()["devices"]}


def _why_not(error: Exception) -> str:
    why = str(error).partition("\n")[0].rstrip(".")
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    only = "" if shown is None else f" (CUDA_VISIBLE_DEVICES={shown})"
    if isinstance(error, RuntimeError) and is_out_of_memory(error):
        free = [f"{each['free'] / MIB:.0f} MiB of {each['uuid']}" for each in gpu.read()["devices"]]
        return f"there is no room for a CUDA context, some hundred MiB{only}: {why}; free are {', '.join(free)}"
    return (
        f"torch cannot use a GPU{only}: {why}. Give the container a GPU (Docker's runtime nvidia, and a driver that is "
        "new enough); engine vits does without: set TTS_DEVICE=cpu to have the CPU speak"
    )
