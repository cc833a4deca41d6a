"""The network on its device: load it, run it, and translate its errors."""

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
    """The voice's network on an open device; thread-safe."""

    def __init__(self, path: Path, device: Cpu | Cuda, progress: Callable[[str], None]) -> None:
        """Read the file and load its parameters; raise EngineError if they do not fit the network or the memory."""
        self.device = device
        # TF32 convolutions, cuDNN's default, lose the precision that makes durations equal to those on the CPU.
        torch.backends.cudnn.allow_tf32 = False
        self.network = _network(path)
        progress("read the weights")
        size = sum(parameter.numel() * parameter.element_size() for parameter in self.network.parameters())
        out_of_memory = False
        try:
            self.network.to(device.where)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            out_of_memory = True
        if out_of_memory:
            del self.network
            device.empty()
            raise EngineError(
                f"too little memory for the model: it needs {size / MIB:.0f} MiB; {device.describe_free_memory()}"
            )

    def speak(self, ids: list[int], scales: Scales, generator: torch.Generator) -> NDArray[np.float32]:
        """Return the samples [n] of phoneme ids, with noise from the CPU `generator`.

        Raise NoMemoryError if memory is too small for them, EngineFatalError if the device can no longer work.
        """

        def work() -> NDArray[np.float32]:
            with torch.inference_mode():
                return self.network(torch.tensor(ids, device=self.device.where), scales, generator).cpu().numpy()

        return guarded(self.device, work, f"a sentence of {len(ids)} phonemes")


def _network(path: Path) -> Vits:
    network = Vits()
    try:
        network.load_state_dict(
            {name: torch.tensor(values) for name, values in weights.read(path).items()}, assign=True
        )
    except RuntimeError as error:
        raise EngineError(f"{path.name} does not fit the network of engine vits: {error}") from None
    return network.eval().requires_grad_(False)
