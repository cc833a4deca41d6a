"""Commands and their output as the documents show them.

A block `sh` holds commands. A block `console` holds commands after `$ `, each with its output below; a line `...` in an
output stands for any number of lines.
"""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from build.system import command
from harness.stack import REPOSITORY

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
INLINE = re.compile(
    r"`((?:uv run )?python -m (?:batch|bench|build|service)\b[^`]*|make [a-z-]+|scripts/bootstrap[^`]*)`"
)
COMMENT = re.compile(r"\s+# .*$")
PROMPT = "$ "
OMITTED = "..."
# What differs between two runs of a command, and how a document may shorten it.
VARIABLE = (
    (re.compile(r"sha256:[0-9a-f]*(?:\.{3})?"), "DIGEST"),
    (re.compile(r"tts_(?:[\w-]{43}|\.{3})"), "KEY"),
    (re.compile(r"\B/\S*/out/"), "FOLDER"),
    (re.compile(r"\b[0-9a-f]{7,64}\b"), "HASH"),
    (re.compile(r"\d+(?:[.:,/-]\d+)*"), "NUMBER"),
    (re.compile(r"[─━ \t]+"), " "),
)


@dataclass(frozen=True)
class Command:
    """One command: its document, its first line there, its text, and its output if the document shows one."""

    page: str
    line: int
    text: str
    output: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every document of the repository, by its path."""
    return sorted(command.run(["git", "ls-files", "*.md"], cwd=REPOSITORY).decode().split())


@functools.cache  # it asks a shell whether each line is complete
def commands(page: str, root: Path = REPOSITORY) -> list[Command]:
    """The commands of a document's `sh` and `console` blocks."""
    found: list[Command] = []
    for language, line, lines in _blocks((root / page).read_text()):
        if language == "sh":
            found += [Command(page, line + at, text) for at, text in _complete(lines)]
        elif language == "console":
            found += _console(page, line, lines)
    return found


def mentions(page: str) -> list[Command]:
    """The commands in a document's running text; optional parts are in brackets."""
    lines = (REPOSITORY / page).read_text().splitlines()
    return [
        Command(page, number, re.sub(r"[\[\]]|\.\.\.", "", text))
        for number, line in enumerate(lines, start=1)
        for text in INLINE.findall(line)
    ]


def same_shape(shown: str, actual: str) -> bool:
    """Whether an output is what a document shows, apart from hashes, numbers, spaces and omitted lines."""
    pattern = "".join(
        "(?:.*\n)*" if line.strip() == OMITTED else re.escape(_shape(line)) + "\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, "".join(f"{_shape(line)}\n" for line in actual.splitlines())) is not None


def _shape(line: str) -> str:
    for pattern, kind in VARIABLE:
        line = pattern.sub(kind, line)
    return line.strip()


def _blocks(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """Language, number of the first line, and lines of every fenced block."""
    opened, lines = None, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if opened and fence and not fence["language"]:
            yield opened["language"], number - len(lines), lines
            opened = None
        elif opened:
            lines.append(line.removeprefix(opened["indent"]))
        elif fence:
            opened, lines = fence, []


def _console(page: str, line: int, lines: list[str]) -> Iterator[Command]:
    starts = [at for at, text in enumerate(lines) if text.startswith(PROMPT)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        first, *rest = lines[start:end]
        texts = [first.removeprefix(PROMPT)]
        while not _is_complete("\n".join(texts)):
            texts.append(rest.pop(0))
        yield Command(page, line + start, "\n".join(texts), "\n".join(rest))


def _complete(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Position and text of each command of a block; comments between them are dropped."""
    start, texts = 0, list[str]()
    for at, line in enumerate(lines):
        if not texts and (not line.strip() or line.startswith("#")):
            continue
        start = start if texts else at
        texts.append(line)
        if _is_complete("\n".join(texts)):
            yield start, COMMENT.sub("", "\n".join(texts))
            texts = []
    if texts:
        raise ValueError("a block ends within a command:\n" + "\n".join(texts))


def _is_complete(text: str) -> bool:
    """Whether a shell would run the text, instead of waiting for more lines."""
    if text.endswith("\\"):
        return False
    done = subprocess.run(["bash", "-n"], input=f"{text}\n", capture_output=True, text=True, check=False)
    return not (done.returncode or done.stderr)
