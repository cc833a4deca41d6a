"""Parameters of the voice's ONNX file under the names of the network's modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

PARTS = ("enc_p.", "dp.", "flow.", "dec.")
# Two parameters that the exporter renamed. The embedding got the name of an input that this voice lacks; the scale was
# computed from its parameter.
RENAMED = {"sid": "enc_p.emb.weight", "/dp/flows.0/Exp_output_0": "dp.flows.0.scale"}
_CONVOLUTIONS = ("Conv", "ConvTranspose")


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return every parameter by name. A file of another architecture gives other names, which the network rejects."""
    graph = onnx.load(path).graph
    names = RENAMED | _unnamed(graph)
    tensors = {names.get(tensor.name, tensor.name): tensor for tensor in graph.initializer}
    return {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items() if name.startswith(PARTS)}


def _unnamed(graph: Any) -> dict[str, str]:
    """Name the weights that the exporter computed and numbered (normalised convolutions) after their bias."""
    return {
        node.input[1]: node.input[2].removesuffix("bias") + "weight"
        for node in graph.node
        if node.op_type in _CONVOLUTIONS and not node.input[1].startswith(PARTS)
    }
