"""What is offered as a voice to imitate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from service.audio import PROMPT_SECONDS
from service.engines.base import Prompt
from service.errors import InvalidError

_MAX_RATE = 192_000


def read_prompt(path: Path, param: str, text: str = "") -> Prompt:
    """Decode the audio file at `path`, or InvalidError; several channels become one. Blocking: call it in a thread."""
    low, high = PROMPT_SECONDS
    try:
        with soundfile.SoundFile(path) as file:
            rate = min(int(file.samplerate), _MAX_RATE)
            # A few bytes of FLAC can stand for a great deal of silence: no more is decoded than is allowed.
            samples = file.read(int(high * rate) + 1, dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, OSError):
        raise InvalidError(f"{param} is not audio that can be read", code="not_audio", param=param) from None
    duration = len(samples) / rate
    if not low <= duration <= high:
        raise InvalidError(f"{param} does not last {low:g} to {high:g} s", code="bad_prompt_length", param=param)
    return Prompt(samples.mean(axis=1).astype(np.int16), rate, text)
