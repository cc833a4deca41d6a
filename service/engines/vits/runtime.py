"""The network on its device: loaded, run, and what becomes of its errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from service.engine import EngineError
from service.engines.torch_device import MIB, Cpu, Cuda, guarded, is_out_of_memory
from service.engines.vits import weights
from service.engines.vits.model import Scales, Vits


class Runtime:
    """The voice's network on a device that is open. Safe to use from several threads."""

    def __init__(self, path: Path, device: Cpu | Cuda, progress: Callable[[str], None]) -> None:
        """Read the file and load its parameters; raise EngineError when they do not fit the network or the memory."""
        self.device = device
        # Convolutions in TF32, cuDNN's own choice, lose what makes durations come out as on the CPU.
        torch.backends.cudnn.allow_tf32 = False
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

        def work() -> NDArray[np.float32]:
            with torch.inference_mode():
                return self.network(torch.tensor(ids, device=self.device.where), scales, generator).cpu().numpy()

        return guarded(self.device, work, f"a sentence of {len(ids)} phonemes")


def _network(path: Path) -> Vits:
    network = Vits()
    try:
        network.load_state_dict({name: torch.tensor(each) for name, each in weights.read(path).items()}, assign=True)
    except RuntimeError as error:
        raise EngineError(f"{path.name} is not a voice of this network: {error}") from None
    return network.eval().requires_grad_(False)
