"""Attribution of speech, measured on public corpora of attributed quotations: the user gives the path of a copy.

Project Dialogism Novel Corpus (English): a folder with `data/NOVEL/novel_text.txt`, `quotation_info.csv` and
`character_info.csv`. WP (Chinese): a folder with `dataset/name_list.txt` and `dataset/*/*_unsplit.txt`.
"""

from __future__ import annotations

import ast
import csv
import itertools
import re
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.table import Table

from batch.book.attribution import Attribution, Certainty, Speaker
from batch.book.characters import Character, Gender
from batch.book.paragraphs import Paragraph, paragraphs
from batch.book.quotation import style
from build.console import out

_GENDERS: dict[str, Gender] = {"F": "female", "M": "male", "0": "female", "1": "male"}
_KINDS = ("Explicit", "Anaphoric", "Implicit")
_NARRATORS = {"narr", "narrator", "_narr", "i"}
_MIDDLE = 10  # the quotation in question, of the 21 sentences of a passage of WP
_NESTED = re.compile(r"(?<!\w)'(?=[A-Z])((?:[^'\"]|(?<=\w)'(?=\w))*)'(?!\w)")


@dataclass(frozen=True, slots=True)
class Quotation:
    """A quotation of a corpus: its parts in the book, the number of its speaker, and the corpus's kind of quotation."""

    parts: tuple[tuple[int, int], ...]
    speaker: int
    kind: str


@dataclass(frozen=True, slots=True)
class Book:
    """A text of a corpus with its characters and quotations; `left_out` quotations have a speaker without a name."""

    name: str
    text: str
    cast: tuple[Character, ...]
    quotations: tuple[Quotation, ...]
    left_out: int = 0


@dataclass
class Score:
    """Counts of quotations: all, right, right and sure, wrong and sure, and left to the narrator."""

    total: int = 0
    right: int = 0
    sure: int = 0
    wrong_sure: int = 0
    lost: int = 0
    errors: list[tuple[Quotation, list[Speaker | None]]] = field(default_factory=list)

    def add(self, quotation: Quotation, found: list[Speaker | None]) -> None:
        """Count a quotation with the speakers found at points of its parts."""
        self.total += 1
        stated = [speaker for speaker in found if speaker and speaker.certainty is Certainty.STATED]
        right = all(speaker and speaker.character == quotation.speaker for speaker in found)
        self.right += right
        self.sure += right and len(stated) == len(found)
        self.wrong_sure += any(speaker.character != quotation.speaker for speaker in stated)
        self.lost += any(speaker is None for speaker in found)
        if not right:
            self.errors.append((quotation, found))

    def merge(self, other: Score) -> None:
        """Add the counts of another score."""
        for name in ("total", "right", "sure", "wrong_sure", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def cells(self) -> list[str]:
        """Return the number of quotations, and the shares of them."""
        shares = (count / self.total for count in (self.right, self.sure, self.wrong_sure, self.lost))
        return [str(self.total), *(f"{share:.3f}" for share in shares)]


def score(book: Book) -> dict[str, Score]:
    """Return the scores of a book by kind of quotation."""
    starts, speakers = _speakers(book)
    scores: dict[str, Score] = {}
    for quotation in book.quotations:
        points = [at for start, end in quotation.parts for at in (start, (start + end) // 2, end - 1)]
        found = [speakers[max(bisect_right(starts, at) - 1, 0)] for at in points]
        scores.setdefault(quotation.kind, Score()).add(quotation, found)
    return scores


def _speakers(book: Book) -> tuple[list[int], list[Speaker | None]]:
    """Return the offsets in the book at which the speaker changes, and the speakers from there on."""
    lines = book.text.splitlines(keepends=True)
    offsets = [0, *itertools.accumulate(map(len, lines))]
    leads = [len(line) - len(line.lstrip()) for line in lines]
    whole = list(paragraphs(book.text))
    attribution = Attribution(book.cast, style([paragraph.text for paragraph in whole]))
    found: list[tuple[int, Speaker | None]] = [(0, None)]
    for paragraph in whole:
        for part in attribution.paragraph(paragraph.text):
            found.append((_offset(paragraph, part.start, offsets, leads), part.speaker))
    return [start for start, _ in found], [speaker for _, speaker in found]


def _offset(paragraph: Paragraph, at: int, offsets: Sequence[int], leads: Sequence[int]) -> int:
    start, number = max((start, number) for start, number in paragraph.starts if start <= at)
    return offsets[number - 1] + leads[number - 1] + at - start


def read(corpus: Path) -> Iterator[Book]:
    """Yield the books of a corpus."""
    if (corpus / "dataset/name_list.txt").exists():
        yield _chinese(corpus / "dataset")
    for folder in sorted(path.parent for path in corpus.glob("data/*/quotation_info.csv")):
        yield _novel(folder)


def _novel(folder: Path) -> Book:
    rows = _rows(folder / "quotation_info.csv")
    speakers = {row["speaker"] for row in rows}
    cast = []
    for row in _rows(folder / "character_info.csv"):
        names = dict.fromkeys([row["Main Name"], *sorted(ast.literal_eval(row["Aliases"]))])
        if speakers & {*names}:  # the corpus repeats others: Mr. Bounderby, who speaks, and Bounderby
            cast.append(_character(list(names), row["Gender"]))
    numbers = {name: number for number, person in reversed(list(enumerate(cast))) for name in person.names}
    quotations, left_out = [], 0
    for row in rows:
        parts = tuple((start, end) for start, end in ast.literal_eval(row["quoteByteSpans"]))
        named = row["speaker"] in numbers and not row["speaker"].startswith("_")
        if named and row["quoteType"] in _KINDS:
            quotations.append(Quotation(parts, numbers[row["speaker"]], row["quoteType"].lower()))
        else:
            left_out += 1
    text = (folder / "novel_text.txt").read_bytes().decode()
    return Book(folder.name, text, _unambiguous(cast), tuple(quotations), left_out)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def _character(names: Sequence[str], gender: str) -> Character:
    aliases = [*names[1:], "I"] if _NARRATORS & {name.lower() for name in names} else names[1:]
    return Character(name=names[0], aliases=tuple(aliases), gender=_GENDERS.get(gender))


def _unambiguous(cast: Iterable[Character]) -> tuple[Character, ...]:
    """Return the characters without aliases that several have, as a characters file demands."""
    people = list(cast)
    count = Counter(name.casefold() for person in people for name in {*person.names})
    mains = {person.name.casefold() for person in people}
    return tuple(
        person.model_copy(
            update={
                "aliases": tuple(
                    name for name in person.aliases if count[name.casefold()] == 1 and name.casefold() not in mains
                )
            }
        )
        for person in people
    )


def _chinese(folder: Path) -> Book:
    lines = [line.split() for line in (folder / "name_list.txt").read_text().splitlines() if line.strip()]
    cast = _unambiguous(_character(names, gender) for gender, *names in lines)
    text, quotations = "", []
    for path in sorted(folder.glob("*/*_unsplit.txt")):
        for instance in path.read_text().strip().split("\n\n"):
            _index, *sentences, _name, number, kind = instance.splitlines()
            start, passage = _passage([sentence.strip() for sentence in sentences])
            span = (len(text) + start + 1, len(text) + start + len(sentences[_MIDDLE].strip()) - 1)
            quotations.append(Quotation((span,), int(number.split()[-1]), kind.split()[-1]))
            text += f"{passage}\n\n"
    return Book("WP", text, cast, tuple(quotations))


def _passage(sentences: Sequence[str]) -> tuple[int, str]:
    """Return where the eleventh sentence starts in the passage, and the passage.

    WP has one sentence per line. A quotation shares its paragraph with a sentence that introduces it, or else with the
    one after it.
    """
    text, start, introduced = "", 0, False
    for number, sentence in enumerate(sentences):
        before = sentences[number - 1] if number else ""
        quoted = sentence.startswith("“")
        follows = before.endswith(("：", "，")) if quoted else before.startswith("“") and not introduced
        text += "" if follows or not text else "\n"
        start = len(text) if number == _MIDDLE else start
        text += sentence
        introduced = quoted and follows
    return start, text


def british(book: Book, *, straight: bool = False) -> Book:
    """Return the book set in single quotation marks, with double ones inside them; every offset stays."""
    nested = _NESTED.sub(r"“\1”", book.text).replace("'", "’")
    text = "\n\n".join(_toggled(paragraph) for paragraph in nested.split("\n\n"))
    return replace(book, text=text.replace("‘", "'").replace("’", "'") if straight else text)


def _toggled(paragraph: str) -> str:
    pieces = paragraph.split('"')
    return pieces[0] + "".join("‘’"[number % 2] + piece for number, piece in enumerate(pieces[1:]))


def measure(corpus: Path) -> None:
    """Print the scores of each book of a corpus, as it is set and in single quotation marks."""
    books = list(read(corpus))
    settings: dict[str, Callable[[Book], Book]] = {"": lambda book: book}
    if any('"' in book.text for book in books):
        settings |= {"set in ‘ ’": british, "set in ' '": partial(british, straight=True)}
    for label, reset in settings.items():
        began = time.monotonic()
        scores = {book.name: score(reset(book)) for book in books}
        seconds = time.monotonic() - began
        megabytes = sum(len(book.text) for book in books) / 1e6
        out.print(_table(label, scores))
        out.print(f"{megabytes:.1f} million characters in {seconds:.1f} s")
    left_out = sum(book.left_out for book in books)
    out.print(f"{left_out} quotations have no single named speaker or no kind, and do not count")


def _table(label: str, scores: dict[str, dict[str, Score]]) -> Table:
    columns = ("quotations", "right", "right and sure", "wrong and sure", "left to the narrator")
    table = Table(label or "explicit", *columns, box=None, pad_edge=False)
    totals: dict[str, Score] = {}
    for name, kinds in scores.items():
        for kind, counts in kinds.items():
            totals.setdefault(kind, Score()).merge(counts)
        if "explicit" in kinds:
            table.add_row(name, *kinds["explicit"].cells())
    for kind, counts in totals.items():
        table.add_row(f"all {kind}", *counts.cells())
    return table
