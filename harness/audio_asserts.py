"""Check that the audio of a response is complete and audible to its end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from build.audio.signal import decode

PCM_RATE = 24000
SILENT_DBFS = -50.0
# Part of the end that must contain sound. A word ends with up to 0.3 s of silence, a text with up to a tenth of it.
TAIL_S, TAIL_SHARE = 0.5, 0.1


def fault_in_wav(body: bytes, at_least_s: float) -> str:
    """Return the fault of a WAV: truncated, too short, or silent at its end; empty without a fault."""
    try:
        samples, rate = decode(body)
    except ValueError as error:
        return str(error)
    return _fault(samples, rate, at_least_s)


def fault_in_pcm(body: bytes, at_least_s: float, rate: int = PCM_RATE) -> str:
    """Return the same for raw 16-bit mono PCM at `rate` Hz (X-Sample-Rate of the response)."""
    if len(body) % 2:
        return f"{len(body)} bytes: the last sample is incomplete"
    return _fault(np.frombuffer(body, "<i2").astype(np.float32) / np.float32(32768), rate, at_least_s)


def _fault(samples: npt.NDArray[np.float32], rate: int, at_least_s: float) -> str:
    if len(samples) < at_least_s * rate:
        return f"{len(samples) / rate:.2f} s, at least {at_least_s:.2f} s expected: the end is missing"
    tail = samples[-int(max(TAIL_S * rate, TAIL_SHARE * len(samples))) :]
    level = 20 * np.log10(max(float(np.sqrt(np.mean(np.square(tail)))), 1e-9))
    return "" if level > SILENT_DBFS else "the end is silent"
