"""The part of torch that engine glm_tts and its stand-in of upstream use: numpy, and a ledger of GPU memory.

As in torch, dropped memory stays reserved until `empty_cache`.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

__version__ = "stand-in"
GIB = 1 << 30
int32 = np.int32


class OutOfMemoryError(RuntimeError):
    pass


class AcceleratorError(RuntimeError):
    pass


class device:  # noqa: N801 - torch's name
    def __init__(self, kind: str, index: int = 0) -> None:
        self.type, self.index = kind, index


class _Cuda:
    def __init__(self) -> None:
        self.absent = False
        self.total = 16 * GIB
        self.live = self.kept = 0

    def take(self, size: int) -> None:
        if self.live + self.kept + size > self.total:
            self.kept = 0
        if self.live + size > self.total:
            raise OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size >> 20} MiB.")
        self.live += size

    def drop(self, size: int) -> None:
        self.live -= size
        self.kept += size

    def is_available(self) -> bool:
        return not self.absent

    def init(self) -> None:
        if self.absent:
            raise RuntimeError("No CUDA GPUs are available")

    def get_device_properties(self, _device: device) -> SimpleNamespace:
        return SimpleNamespace(name="stand-in GPU", uuid="0")

    def memory_reserved(self, _device: device) -> int:
        return self.live + self.kept

    def mem_get_info(self, _device: device) -> tuple[int, int]:
        return self.total - self.live - self.kept, self.total

    def empty_cache(self) -> None:
        self.kept = 0


cuda = _Cuda()
backends = SimpleNamespace(cudnn=SimpleNamespace(allow_tf32=True))
_C = SimpleNamespace(_cuda_clearCublasWorkspaces=lambda: None)


class Tensor:
    """An array, with its size in the ledger if it is on the GPU."""

    def __init__(self, values: Any, on_gpu: bool = False, size: int | None = None) -> None:
        self.values = np.asarray(values)
        self.on_gpu = on_gpu
        self.shape = self.values.shape
        if on_gpu:
            size = self.values.nbytes if size is None else size
            cuda.take(size)
            weakref.finalize(self, cuda.drop, size)

    def to(self, where: device) -> Tensor:
        return Tensor(self.values, on_gpu=where.type == "cuda")

    def cpu(self) -> Tensor:
        return Tensor(self.values)

    def numpy(self) -> Any:
        if self.on_gpu:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.values

    def reshape(self, *shape: int) -> Tensor:
        return Tensor(self.values.reshape(*shape), self.on_gpu)

    def tolist(self) -> Any:
        return self.values.tolist()


def tensor(values: Any, dtype: Any = None) -> Tensor:
    return Tensor(np.array(values, dtype))


def from_numpy(values: Any) -> Tensor:
    return Tensor(values)


def ones(*shape: int, device: device) -> Tensor:
    return Tensor(np.ones(shape), on_gpu=device.type == "cuda")


def concat(parts: list[Tensor], dim: int) -> Tensor:
    return Tensor(np.concatenate([part.numpy() for part in parts], axis=dim))


@contextlib.contextmanager
def inference_mode() -> Iterator[None]:
    yield
