"""Speaker embedding of a recording, with the weights of PyPI's `resemblyzer`.

The network runs in numpy (build.audio.speaker_embedding): the package's own code needs torch, librosa and webrtcvad.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from build.audio import speaker_embedding, torch_weights
from build.errors import MissingFileError

PACKAGE, WEIGHTS, PART = "resemblyzer", "pretrained.pt", "model_state"
REMEDY = (
    "run `rm -r .venv && scripts/bootstrap`, or in another environment `pip install --no-deps -r locks/weights.txt`"
)


def embedding(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    """Return the speaker embedding of a mono signal in [-1, 1], shape (samples,), at `rate` Hz: [WIDTH].

    It takes about 0.01 s of one CPU per second of audio. build.audio.speaker_embedding.embedding computes it.

    Raises:
        MissingFileError: the weights are not installed or incomplete.
    """
    return speaker_embedding.embedding(samples, rate, _network())


@cache
def _network() -> speaker_embedding.Network:
    package = find_spec(PACKAGE)
    if package is None or not package.origin:
        raise MissingFileError(
            "the speaker check needs the weights of Resemblyzer, which are not installed", remedy=REMEDY
        )
    return network(Path(package.origin).parent / WEIGHTS)


def network(path: Path) -> speaker_embedding.Network:
    """Load the network from a file of weights.

    Raises:
        MissingFileError: the file is missing or invalid.
    """
    try:
        return speaker_embedding.network(torch_weights.read(path, PART))
    except (OSError, ValueError) as error:
        raise MissingFileError(f"the weights of Resemblyzer ({path}) cannot be used: {error}", remedy=REMEDY) from None
