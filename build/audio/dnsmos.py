"""DNSMOS: what a listener would think of a recording, by the weights that PyPI's `speechmos` carries.

The weights are run here directly: the package's own code wants librosa and numba, 30 s and 200 MB of them.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from build.audio import signal
from build.errors import MissingFileError

RATE = 16000
WINDOW = int(9.01 * RATE)  # what the network takes
# From the network's overall score to that of listeners: the polynomial of DNSMOS (ITU-T P.835).
OVERALL = np.poly1d([-0.06766283, 1.11546468, 0.04602535])


def quality(samples: npt.NDArray[np.float32], rate: int) -> float:
    """The overall quality (1 to 5) of a mono signal in [-1, 1], shape (samples,), at `rate` Hz.

    The mean over windows of 9 s; what is shorter is repeated, as DNSMOS does. About 0.6 s of one processor for each.

    Raises:
        MissingFileError: the weights are not installed.
    """
    sound = signal.resampled(samples, rate, RATE)
    if len(sound) < WINDOW:
        sound = np.resize(sound, WINDOW)
    starts = np.linspace(0, len(sound) - WINDOW, math.ceil(len(sound) / WINDOW)).astype(int)
    scores = [_session().run(None, {"input_1": sound[None, at : at + WINDOW]})[0][0][2] for at in starts]
    return float(np.mean(OVERALL(np.array(scores))))


@cache
def _session() -> Any:
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415 - most commands listen to nobody

    package = find_spec("speechmos")
    if package is None or not package.origin:
        raise MissingFileError("the weights of DNSMOS are not installed", remedy="run `scripts/bootstrap`")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # beside live traffic
    weights = Path(package.origin).parent / "dnsmos_models/sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
