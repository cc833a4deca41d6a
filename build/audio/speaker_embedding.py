"""The speaker embedding of Resemblyzer's network (three LSTMs over mel bands), in numpy.

It differs from Resemblyzer only in having no voice detector (webrtcvad): the gate's recordings have no long silence.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import soxr

Floats = npt.NDArray[np.float32]

RATE = 16000
WINDOW, HOP, BANDS = 400, 160, 40  # 25 and 10 ms
PARTIAL, STEP = 160, 77  # frames per input of the network, and the step to the next one: 1.3 inputs a second
COVERED = 0.75  # minimum share of the last input that has audio; a shorter one is dropped
QUIETEST_DBFS = -30.0  # quieter signals are amplified to this level: the network's input is power, not its logarithm
WIDTH, LAYERS = 256, 3
NO_EMBEDDING: Floats = np.zeros(0, np.float32)  # no embedding computed


@dataclass(frozen=True)
class Layer:
    """One LSTM with gates in the order input, forget, cell, output: [4 WIDTH, inputs], [4 WIDTH, WIDTH], [4 WIDTH]."""

    inputs: Floats
    state: Floats
    bias: Floats


@dataclass(frozen=True)
class Network:
    """The LSTM layers, and the linear layer from the last state to the embedding: [WIDTH, WIDTH], [WIDTH]."""

    layers: tuple[Layer, ...]
    linear: Floats
    bias: Floats


def network(weights: Mapping[str, Floats]) -> Network:
    """Build the network from weights named as in torch.

    Raises:
        ValueError: a weight is missing or has another shape.
    """

    def take(name: str, *shape: int) -> Floats:
        if name not in weights:
            raise ValueError(f"{name} is missing")
        if (weight := weights[name]).shape != shape:
            raise ValueError(f"{name} is {list(weight.shape)}, not {list(shape)}")
        return weight

    gates = 4 * WIDTH
    layers = tuple(
        Layer(
            take(f"lstm.weight_ih_l{index}", gates, WIDTH if index else BANDS),
            take(f"lstm.weight_hh_l{index}", gates, WIDTH),
            take(f"lstm.bias_ih_l{index}", gates) + take(f"lstm.bias_hh_l{index}", gates),
        )
        for index in range(LAYERS)
    )
    return Network(layers, take("linear.weight", WIDTH, WIDTH), take("linear.bias", WIDTH))


def embedding(samples: Floats, rate: int, network: Network) -> Floats:
    """Return the embedding of a mono signal in [-1, 1], shape (samples,), at `rate` Hz: [WIDTH], length 1, all >= 0."""
    sound = _loud_enough(soxr.resample(samples, rate, RATE))
    starts = _starts(len(sound))
    sound = np.pad(sound, (0, max(0, (starts[-1] + PARTIAL) * HOP - len(sound))))
    bands = mel(sound)
    states = np.stack([bands[start : start + PARTIAL] for start in starts])
    for layer in network.layers:
        states = _states(states, layer)
    parts = np.maximum(states[:, -1] @ network.linear.T + network.bias, 0)
    return _unit(_unit(parts).mean(0))


def together(embeddings: Sequence[Floats]) -> Floats:
    """Combine the embeddings of several recordings; NO_EMBEDDING if one of them is NO_EMBEDDING."""
    return _unit(np.mean(embeddings, axis=0)) if embeddings and all(map(len, embeddings)) else NO_EMBEDDING


def apart(one: Floats, other: Floats) -> float:
    """Return 1 less the cosine between two embeddings: 0 for the same voice, or if one of them is NO_EMBEDDING."""
    return max(0.0, 1 - float(one @ other)) if len(one) and len(other) else 0.0


def pack(one: Floats) -> str:
    """Encode an embedding as text in 255 steps; the error is a hundredth of a voice's own spread."""
    return base64.b64encode(np.rint(255 * one / one.max()).astype(np.uint8).tobytes()).decode()


def unpack(text: str) -> Floats:
    """Decode the output of `pack`.

    Raises:
        ValueError: invalid input.
    """
    try:
        numbers = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except ValueError as error:
        raise ValueError(f"not a packed embedding: {error}") from None
    if len(numbers) != WIDTH or not numbers.any():
        raise ValueError(f"{len(numbers)} numbers instead of an embedding of {WIDTH}")
    return _unit(numbers.astype(np.float32))


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), np.float32)


def _loud_enough(sound: Floats) -> Floats:
    rms = float(np.sqrt(np.mean(np.square(sound)))) if len(sound) else 0.0
    minimum = 10 ** (QUIETEST_DBFS / 20)
    return sound * np.float32(minimum / rms) if 0 < rms < minimum else sound


def _starts(samples: int) -> list[int]:
    """Return the first frame of each input."""
    frames = (samples + HOP) // HOP
    starts = list(range(0, max(1, frames - PARTIAL + STEP + 1), STEP))
    covered = (samples - starts[-1] * HOP) / (PARTIAL * HOP)
    return starts[:-1] if covered < COVERED and len(starts) > 1 else starts


def mel(sound: Floats) -> Floats:
    """Return the power by mel band of a signal at RATE, as librosa's melspectrogram: [frames, BANDS]."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, WINDOW // 2), WINDOW)[::HOP]
    hann = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    return np.asarray(power @ _filters(), np.float32)


@cache
def _filters() -> npt.NDArray[np.float64]:
    """Return Slaney's triangular filters, all of the same area: [bins, BANDS]."""
    edges = _hertz(np.linspace(0, _mels(RATE / 2), BANDS + 2))
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2]))


# Slaney's scale: linear up to 1 kHz (15 mels), then a factor of 6.4 every 27 mels.
_LINEAR_HZ, _KNEE, _RATIO = 200 / 3, 15.0, np.log(6.4) / 27


def _mels(hertz: float) -> float:
    """Convert a frequency above the knee to mels."""
    return float(_KNEE + np.log(hertz / (_KNEE * _LINEAR_HZ)) / _RATIO)


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mels < _KNEE, mels * _LINEAR_HZ, _KNEE * _LINEAR_HZ * np.exp(_RATIO * (mels - _KNEE)))


def _states(inputs: Floats, layer: Layer) -> Floats:
    """Run an LSTM on [parts, frames, inputs]; return its state after each frame, [parts, frames, WIDTH]."""
    parts, frames, _ = inputs.shape
    weighted = inputs @ layer.inputs.T + layer.bias
    recurrent = np.ascontiguousarray(layer.state.T)
    state: npt.NDArray[np.floating] = np.zeros((parts, WIDTH), np.float32)
    cell = state
    states = np.empty((parts, frames, WIDTH), np.float32)
    for frame in range(frames):
        # Row by row: BLAS copies the weights for a product of few rows, which is five times slower.
        gates = weighted[:, frame] + (state[:, None] @ recurrent)[:, 0]
        new = np.tanh(gates[:, 2 * WIDTH : 3 * WIDTH])
        gates = 0.5 * np.tanh(0.5 * gates) + 0.5  # the logistic function in a form that does not overflow
        cell = gates[:, WIDTH : 2 * WIDTH] * cell + gates[:, :WIDTH] * new
        states[:, frame] = state = gates[:, 3 * WIDTH :] * np.tanh(cell)
    return states
