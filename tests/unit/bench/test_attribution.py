"""The bench of attribution: a small corpus in the form of each public one, and its scores."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bench.attribution import british, measure, read, score

NOVEL = """CHAPTER I.

"Come in," said Anna. "It's late."

"He said 'It's Bob's' to me," the Captain said.

  "No," said Bob.

"Hush," said Carl.
"""


@pytest.fixture
def english(tmp_path: Path) -> Path:
    folder = tmp_path / "data/Novel"
    folder.mkdir(parents=True)
    (folder / "novel_text.txt").write_text(NOVEL)
    said = [
        (("Come in,", "It's late."), "Anna", "Explicit"),
        (("He said 'It's Bob's' to me,",), "The Captain", "Explicit"),
        (("No,",), "Anna", "Explicit"),
        (("Hush,",), "Carl", "Implicit"),
        (("CHAPTER",), "_group", "Explicit"),
    ]
    rows = [
        {
            "quoteByteSpans": json.dumps([[NOVEL.index(part), NOVEL.index(part) + len(part)] for part in parts]),
            "speaker": speaker,
            "quoteType": kind,
        }
        for parts, speaker, kind in said
    ]
    people = [("Anna", "F"), ("Bob", "M"), ("The Captain", "M"), ("Bobby", "X")]
    cast = [{"Main Name": name, "Aliases": f"['{name}']", "Gender": gender} for name, gender in people]
    rows.append({"quoteByteSpans": "[[0, 1]]", "speaker": "Bob", "quoteType": "Implicit"})
    for name, lines in (("quotation_info.csv", rows), ("character_info.csv", cast)):
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, lines[0])
            writer.writeheader()
            writer.writerows(lines)
    return tmp_path


def test_scores_of_a_novel(english: Path) -> None:
    (book,) = read(english)
    assert [person.name for person in book.cast] == ["Anna", "Bob", "The Captain"]
    assert book.left_out == 2
    explicit = score(book)["explicit"]
    assert (explicit.total, explicit.right, explicit.sure, explicit.wrong_sure, explicit.lost) == (3, 2, 2, 1, 0)
    assert score(book)["implicit"].lost == 1


def test_a_novel_in_single_quotation_marks(english: Path) -> None:
    (book,) = read(english)
    reset = british(book)
    assert "‘Come in,’ said Anna. ‘It’s late.’" in reset.text
    assert "‘He said “It’s Bob’s” to me,’" in reset.text
    assert "'Come in,' said Anna. 'It's late.'" in british(book, straight=True).text
    assert len(reset.text) == len(book.text)
    assert score(reset)["explicit"].cells() == score(book)["explicit"].cells()


def test_the_table_of_a_corpus(english: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure(english)
    printed = capsys.readouterr().out
    assert printed.count("Novel ") == 3
    assert "all explicit" in printed
    assert "2 quotations have no single named speaker" in printed


def test_scores_of_passages(tmp_path: Path) -> None:
    (tmp_path / "dataset/test").mkdir(parents=True)
    (tmp_path / "dataset/name_list.txt").write_text("1 张三 三\n0 李四\n")
    lead = [f"第{number}天过去了。" for number in range(10)]
    explicit = [*lead, "“进来。”", "李四说道。", *lead[:9], "Speaker: 李四", "Speaker index: 1", "Category: explicit"]
    announced = [
        *lead[:9],
        "张三说：",
        "“好。”",
        "李四笑了。",
        *lead[:9],
        "Speaker: 张三",
        "Speaker index: 0",
        "Category: explicit",
    ]
    text = "\n\n".join("\n".join(["Instance index: 0", *lines]) for lines in (explicit, announced))
    (tmp_path / "dataset/test/test_unsplit.txt").write_text(text)
    (book,) = read(tmp_path)
    explicit_score = score(book)["explicit"]
    assert (explicit_score.total, explicit_score.sure) == (2, 2)
