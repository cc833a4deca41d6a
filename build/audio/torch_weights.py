"""Read torch weight files without torch, safely: only float tensors are built, no other object.

The format is the one of torch before 1.6: five pickles, then the numbers of each storage.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class _Tensor:
    """Position of a tensor's numbers: storage and offset."""

    storage: str
    offset: int
    shape: tuple[int, ...]


def read(path: Path, part: str) -> dict[str, npt.NDArray[np.float32]]:
    """Return the tensors under the key `part` of the file's dictionary, by name.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is truncated, has another format, or holds other objects.
    """
    stream = io.BytesIO(path.read_bytes())
    try:
        magic, _protocol, _system, document, keys = (_Restricted(stream).load() for _ in range(5))
        if magic != MAGIC:
            raise ValueError("no torch file: its magic number differs")
        storages = {key: _numbers(stream) for key in keys}
        tensors = {name: value for name, value in document[part].items() if isinstance(value, _Tensor)}
        return {name: _array(tensor, storages) for name, tensor in tensors.items()}
    except ValueError:
        raise
    except Exception as error:  # noqa: BLE001 - a truncated or invalid pickle can raise almost anything
        raise ValueError(f"invalid or truncated: {type(error).__name__}: {error}") from None


class _Restricted(pickle.Unpickler):
    """Unpickler for the three names that weights need; it rejects any other name before it looks it up."""

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _tensor
            case "torch", "FloatStorage":
                return name
        raise ValueError(f"it imports {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> Any:
        """Return the key of a storage, whose data follows the pickles."""
        return str(pid[2])


def _tensor(storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> _Tensor:
    rows = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if strides != rows:
        raise ValueError(f"a tensor of shape {shape} has strides {strides}, not {rows}")
    return _Tensor(storage, offset, shape)


def _numbers(stream: io.BytesIO) -> npt.NDArray[np.float32]:
    (count,) = struct.unpack("<q", stream.read(8))
    raw = stream.read(4 * count) if count >= 0 else b""
    if len(raw) != 4 * count:
        raise ValueError(f"{len(raw)} of {4 * count} bytes of a storage: truncated")
    return np.frombuffer(raw, "<f4")


def _array(tensor: _Tensor, storages: dict[str, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    end = tensor.offset + math.prod(tensor.shape)
    return storages[tensor.storage][tensor.offset : end].reshape(tensor.shape)
