"""Whose voice a recording is, by the weights that PyPI's `resemblyzer` carries.

The network is run here, in numpy (build.audio.speaker_embedding): the package's own code wants torch, librosa and
webrtcvad.
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
REMEDY = "remove .venv and run `scripts/bootstrap`; elsewhere `pip install --no-deps -r locks/weights.txt`"


def embedding(samples: npt.NDArray[np.float32], rate: int) -> npt.NDArray[np.float32]:
    """The speaker of a mono signal in [-1, 1], shape (samples,), at `rate` Hz, as voiceprint.embedding gives it.

    About 0.01 s of one processor for each second of sound.

    Raises:
        MissingFileError: the weights are not installed, or not whole.
    """
    return speaker_embedding.embedding(samples, rate, _network())


@cache
def _network() -> speaker_embedding.Network:
    package = find_spec(PACKAGE)
    if package is None or not package.origin:
        raise MissingFileError("the weights of Resemblyzer are not installed", remedy=REMEDY)
    return network(Path(package.origin).parent / WEIGHTS)


def network(path: Path) -> speaker_embedding.Network:
    """The network in a file of weights.

    Raises:
        MissingFileError: the file is not there, or is no such one.
    """
    try:
        return speaker_embedding.network(torch_weights.read(path, PART))
    except (OSError, ValueError) as error:
        raise MissingFileError(f"the weights of Resemblyzer ({path}) cannot be used: {error}", remedy=REMEDY) from None
