"""`generate`: create a task file from a book and its characters, and a list of attributions to review."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batch import textfile
from batch.book.attribution import Attribution, Certainty, Part
from batch.book.characters import Character, Characters, Voice
from batch.book.paragraphs import Paragraph, clean, paragraphs
from batch.book.quotation import Style, missed, style
from batch.book.sentences import split
from batch.book.unread import UNCLOSED, Unread
from batch.errors import BookError
from batch.output import shards
from batch.tasks import texts

_MAX_BYTES = 64 * 1024 * 1024
_DIGITS = 6
_EXCERPT = 60
NARRATOR = "narrator"


@dataclass
class GenerationResult:
    """Result for a book: tasks by speaker, the lines of the review, what was not read as speech or cannot be spoken."""

    tasks: Counter[str] = field(default_factory=Counter)
    review: list[str] = field(default_factory=list)
    strangers: Counter[str] = field(default_factory=Counter)
    unspeakable: list[str] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    unread: Unread = field(default_factory=Unread)


def read_book(path: Path, encoding: str) -> str:
    """Read a book's text; raise BookError."""
    try:
        text = textfile.read(path, _MAX_BYTES, encoding)
    except textfile.TextFileError as error:
        raise BookError(str(error), error.remedy) from None
    if not any(map(str.isalnum, text)):
        raise BookError(f"{path} has no text", "choose a text file")
    return text


def generate(text: str, characters: Characters, home: Path, tasks: Path, max_chars: int) -> GenerationResult:
    """Write `tasks` and its review; the characters file's paths are relative to the folder `home`."""
    result = GenerationResult()
    found = list(paragraphs(clean(text)))
    speech = style([paragraph.text for paragraph in found])
    attribution = Attribution(characters.characters, speech)
    number = 0
    try:
        tasks.parent.mkdir(parents=True, exist_ok=True)
        with shards.replaced(tasks) as file:
            for at, paragraph in enumerate(found):
                parts = attribution.paragraph(paragraph.text)
                _note_unread(result.unread, found[at : at + 2], parts, speech)
                for part in parts:
                    label, voice = _voice(part, characters)
                    names = []
                    for piece in _pieces(part.text, max_chars):
                        if problem := texts.check(piece, result.lost):
                            result.unspeakable.append(
                                f"line {paragraph.line(part.start)}: {problem}: {_excerpt(piece)}"
                            )
                            continue
                        number += 1
                        names.append(f"{number:0{_DIGITS}}-{_slug(label)}")
                        task = {"output_name": names[-1], "input_text": piece}
                        task |= _voice_fields(voice, home, tasks.parent)
                        file.write(json.dumps(task, ensure_ascii=False).encode() + b"\n")
                    if names:
                        result.tasks[label] += len(names)
                        _review(result, paragraph, part, names[0], characters)
        with shards.replaced(review_path(tasks)) as file:
            file.write("".join(f"{line}\n" for line in _review_lines(result)).encode())
    except OSError as error:
        raise BookError(f"{tasks} cannot be written: {error.strerror}", "choose another --out") from None
    return result


def review_path(tasks: Path) -> Path:
    """Return the path of a task file's review."""
    return tasks.with_name(f"{tasks.stem}.review.txt")


def _pieces(text: str, max_chars: int) -> Iterator[str]:
    """Yield the pieces that contain letters or digits, in lengths that the service accepts."""
    yield from (piece for piece in split(text, max_chars) if any(map(str.isalnum, piece)))


def _voice(part: Part, characters: Characters) -> tuple[str, Voice]:
    """Return the label for the clip's name, and the voice."""
    if not part.speaker:
        return NARRATOR, characters.narrator
    if part.speaker.character is None:
        return "unknown", characters.unknown or characters.narrator
    character: Character = characters.characters[part.speaker.character]
    return character.name, character


def _voice_fields(voice: Voice, home: Path, folder: Path) -> dict[str, str]:
    """Return the voice fields of a task; paths are relative to the task file."""
    fields = {"voice": voice.voice, "prompt_text": voice.prompt_text}
    if voice.prompt_audio:
        fields["prompt_audio"] = os.path.relpath((home / voice.prompt_audio).absolute(), folder.absolute())
    return {name: value for name, value in fields.items() if value}


def _slug(label: str) -> str:
    return re.sub(r"[^\w-]+", "-", label).strip("-").lower()[:_EXCERPT] or "speaker"


def _review(result: GenerationResult, paragraph: Paragraph, part: Part, clip: str, characters: Characters) -> None:
    speaker = part.speaker
    if not speaker or speaker.certainty is Certainty.STATED:
        return
    name_or_guess = "unknown" if speaker.character is None else f"{characters.characters[speaker.character].name}?"
    label = f" {speaker.label!r}" if speaker.label else ""
    if speaker.label:
        result.strangers[speaker.label] += 1
    result.review.append(
        f"line {paragraph.line(part.start)}: {clip}: {name_or_guess}{label} ({speaker.reason}): {_excerpt(part.text)}"
    )


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}..."


def _note_unread(unread: Unread, found: Sequence[Paragraph], parts: Sequence[Part], speech: Style) -> None:
    """Note what a paragraph, the first of `found`, has of speech that is not read as speech."""
    if kind := missed(found[0].text, speech):
        unread.add(f"a paragraph with speech in {kind.value}", found[0].line(0))
    following = found[1].text[:1] if len(found) > 1 else ""
    for part in parts:
        continued = part is parts[-1] and following == found[0].text[part.start]
        if part.speaker and not part.closed and not continued:
            unread.add(UNCLOSED, found[0].line(part.start))


def _review_lines(result: GenerationResult) -> Iterator[str]:
    if result.unread.counts:
        yield f"perhaps speech, read by the narrator or to the end of the paragraph: {result.unread}"
    for label, count in result.strangers.most_common():
        yield f"unknown speaker {label!r}: {count}"
    yield from result.review
    for line in result.unspeakable:
        yield f"left out, {line}"
