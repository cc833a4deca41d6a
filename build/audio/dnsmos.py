"""DNSMOS, an estimate of how listeners rate a recording, with the weights of PyPI's `speechmos`.

onnxruntime runs the weights directly: the package's own code needs librosa and numba, 30 s of imports and 200 MB.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from build.errors import MissingFileError

RATE = 16000
WINDOW = int(9.01 * RATE)  # input size of the network
# Maps the network's overall score to listeners' ratings: the polynomial of DNSMOS (ITU-T P.835).
OVERALL = np.poly1d([-0.06766283, 1.11546468, 0.04602535])


def quality(samples: npt.NDArray[np.float32], rate: int) -> float:
    """Return the overall quality (1 to 5) of a mono signal in [-1, 1], shape (samples,), at `rate` Hz.

    It is the mean over windows of 9 s; a shorter signal is repeated, as in DNSMOS. Each window takes about 0.6 s of one
    CPU.

    Raises:
        MissingFileError: the weights are not installed.
    """
    sound = soxr.resample(samples, rate, RATE)
    if len(sound) < WINDOW:
        sound = np.resize(sound, WINDOW)
    starts = np.linspace(0, len(sound) - WINDOW, math.ceil(len(sound) / WINDOW)).astype(int)
    scores = [_session().run(None, {"input_1": sound[None, at : at + WINDOW]})[0][0][2] for at in starts]
    return float(np.mean(OVERALL(np.array(scores))))


@cache
def _session() -> Any:
    # 0.2 s of imports, which a report and the gate of a known release do not need.
    import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415

    package = find_spec("speechmos")
    if package is None or not package.origin:
        raise MissingFileError(
            "the quality check needs the weights of DNSMOS, which are not installed", remedy="run `scripts/bootstrap`"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # it runs beside live traffic
    weights = Path(package.origin).parent / "dnsmos_models/sig_bak_ovr.onnx"
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
