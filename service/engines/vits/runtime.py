"""The network on its device: loaded, run, and what becomes of its errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from service.engines.base import BrokenError, EngineError, NoMemoryError
from service.engines.vits import weights
from service.engines.vits.device import MIB, Cpu, Cuda, is_fatal, is_out_of_memory
from service.engines.vits.model import Scales, Vits


class Runtime:
    """The voice's network on a device that is open. Safe to use from several threads."""

    def __init__(self, path: Path, device: Cpu | Cuda, progress: Callable[[str], None]) -> None:
        """Read the file and load its parameters; raise EngineError when they do not fit the network or the memory."""
        self.device = device
        self.network = _network(path)
        progress("read the weights")
        size = sum(each.numel() * each.element_size() for each in self.network.parameters())
        short = False
        try:
            self.network.to(device.where)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            short = True
        if short:
            del self.network
            device.empty()
            raise EngineError(f"there is no room for the model: it takes {size / MIB:.0f} MiB, and {device.room()}")

    def speak(self, ids: list[int], scales: Scales, generator: torch.Generator) -> NDArray[np.float32]:
        """The samples [n] of phoneme ids, by noise from `generator` (of the CPU).

        Raise NoMemoryError when there was too little memory for it, BrokenError when nothing works any more.
        """
        try:
            with torch.inference_mode():
                return self.network(torch.tensor(ids, device=self.device.where), scales, generator).cpu().numpy()
        except RuntimeError as error:
            if is_fatal(error):
                raise BrokenError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
            if not is_out_of_memory(error):
                raise
        # Not in the handler: until it ends, the error's traceback holds what the inference had taken.
        self.device.empty()
        raise NoMemoryError(f"too little memory for a sentence of {len(ids)} phonemes: {self.device.room()}")


def _network(path: Path) -> Vits:
    network = Vits()
    try:
        network.load_state_dict({name: torch.tensor(each) for name, each in weights.read(path).items()}, assign=True)
    except RuntimeError as error:
        raise EngineError(f"{path.name} is not a voice of this network: {error}") from None
    return network.eval().requires_grad_(False)
