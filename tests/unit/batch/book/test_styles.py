"""Styles of quotation: what most speech of a book is set in, in full books and in single paragraphs."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.book.characters import Character
from batch.book.paragraphs import paragraphs
from batch.book.quotation import Kind, style
from tests.unit.batch.book.attributed import attributed, speech
from tests.unit.batch.support import batch, plain

CAST = (
    Character(name="Nora", aliases=("Mrs. Vale",), gender="female"),
    Character(name="Tom", aliases=("Captain Reed",), gender="male"),
    Character(name="林月", gender="female"),
    Character(name="陈海", aliases=("老陈",), gender="male"),
)

BRITISH = """\
‘You are late,’ said Nora.

‘The ferry was late,’ said Tom. ‘I was not.’

‘That is what the boatman calls “a polite excuse”,’ said Nora, ‘and I don’t believe it.’

Tom put down the 5'10" lamp. ‘Believe the tide, then,’ he said.
"""
STRAIGHT = """\
'Good evening,' said Nora.

'You're late,' said Nora.

'The sailors' boat wasn't ready,' said Tom. 'It's always so at the boys' school.'

''Tis nothing,' said Nora. 'Rock 'n' roll is what they're after. Give 'em bread.'

'So I said to him, "Go home", and he went,' said Tom.
"""
DASHES = """\
—You are late, said Nora.

—The ferry was late, Tom answered. I was not.

—Then believe the tide.

She laughed.
"""
PARAGRAPHS = """\
“I shall tell it once,” said Nora. “The lamp went out at nine, and nobody saw who left.

“At ten there were steps on the stair. I counted twelve of them.

“At eleven the door stood open, and that is all I know.”

“That is a good deal,” said Tom.

"First," said Tom, "we ask the boatman.

"Then we ask the cook.

"And last we ask ourselves."

"I would begin with the last," said Nora.
"""
CHINESE = """\
林月说：“老陈昨天说‘船晚了’，我不信。”

“船是晚了，”陈海笑道，“我可没晚。”

「你总是这样。」林月说。

『下次我早点来。』陈海说。

＂这样不行。＂林月说。

"那怎么办？"陈海问。

这就是他们所说的“老规矩”。
"""
THOUGHTS = """\
It is late, thought Nora. "Too late," she thought. "It is always so, and it will be so tomorrow."

"Sold" was written on the gate, and "Keep out" on the door.

He called it "art." She called it "noise."

The sign read "Beware of the dog."
"""


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        (
            BRITISH,
            Kind.SINGLE,
            [
                ("Nora", "You are late,"),
                ("Tom", "The ferry was late,"),
                ("Tom", "I was not."),
                ("Nora", "That is what the boatman calls “a polite excuse”,"),
                ("Nora", "and I don’t believe it."),
                ("Tom", "Believe the tide, then,"),
            ],
        ),
        (
            STRAIGHT,
            Kind.SINGLE,
            [
                ("Nora", "Good evening,"),
                ("Nora", "You're late,"),
                ("Tom", "The sailors' boat wasn't ready,"),
                ("Tom", "It's always so at the boys' school."),
                ("Nora", "'Tis nothing,"),
                ("Nora", "Rock 'n' roll is what they're after. Give 'em bread."),
                ("Tom", 'So I said to him, "Go home", and he went,'),
            ],
        ),
        (
            DASHES,
            Kind.DASH,
            [
                ("Nora", "You are late,"),
                ("Tom", "The ferry was late,"),
                ("Tom", "I was not."),
                ("?Nora", "Then believe the tide."),
            ],
        ),
        (
            PARAGRAPHS,
            Kind.DOUBLE,
            [
                ("Nora", "I shall tell it once,"),
                ("Nora", "The lamp went out at nine, and nobody saw who left."),
                ("Nora", "At ten there were steps on the stair. I counted twelve of them."),
                ("Nora", "At eleven the door stood open, and that is all I know."),
                ("Tom", "That is a good deal,"),
                ("Tom", "First,"),
                ("Tom", "we ask the boatman."),
                ("Tom", "Then we ask the cook."),
                ("Tom", "And last we ask ourselves."),
                ("Nora", "I would begin with the last,"),
            ],
        ),
        (
            CHINESE,
            Kind.DOUBLE,
            [
                ("林月", "老陈昨天说‘船晚了’，我不信。"),
                ("陈海", "船是晚了，"),
                ("陈海", "我可没晚。"),
                ("林月", "你总是这样。"),
                ("陈海", "下次我早点来。"),
                ("林月", "这样不行。"),
                ("陈海", "那怎么办？"),
            ],
        ),
        (
            THOUGHTS,
            Kind.DOUBLE,
            [("Nora", "Too late,"), ("Nora", "It is always so, and it will be so tomorrow.")],
        ),
        (
            "NORA: Come in.\n\nTOM: Late.\n\nNORA: Sit.",
            Kind.SCRIPT,
            [("Nora", "Come in."), ("Tom", "Late."), ("Nora", "Sit.")],
        ),
        ("NORA. Come in.\n\nTOM. It is late.", Kind.SCRIPT, [("Nora", "Come in."), ("Tom", "It is late.")]),
        ("林月：进来。\n\n陈海：好。", Kind.SCRIPT, [("林月", "进来。"), ("陈海", "好。")]),
    ],
    ids=["british", "straight", "dashes", "paragraphs", "chinese", "thoughts", "script", "play", "chinese-script"],
)
def test_speech_is_found_in_the_style_of_the_book(text: str, kind: Kind, expected: list[tuple[str, str]]) -> None:
    assert style([paragraph.text for paragraph in paragraphs(text)]).kind is kind
    assert speech(text, CAST) == expected


@pytest.mark.parametrize(
    "text",
    [
        "“Good day,” said Nora.",
        "”Good day,” said Nora.",
        '"Good day," said Nora.',
        "„Good day“, said Nora.",
        "„Good day”, said Nora.",
        "« Good day », said Nora.",
        "»Good day«, said Nora.",
        "‹Good day›, said Nora.",
        "＂Good day,＂ said Nora.",
        "「Good day,」 said Nora.",
        "『Good day,』 said Nora.",
        "〝Good day,〞 said Nora.",
        "‘Good day,’ said Nora.",
        "'Good day,' said Nora.",
        "—Good day —said Nora—.",
        "— Good day, — said Nora.",
        "– Good day, – said Nora.",
    ],
)
def test_each_mark_alone(text: str) -> None:
    assert [(name, words.rstrip(",")) for name, words in speech(text, CAST)] == [("Nora", "Good day")]


def test_dashes_that_separate_narration() -> None:
    assert attributed("—Hola —dijo Nora—. ¿Cómo estás?\n\n—Bien.", CAST)[:3] == [
        ("Nora", "Hola"),
        ("", "—dijo Nora"),
        ("Nora", "¿Cómo estás?"),
    ]


@pytest.mark.parametrize(
    "text", ['It is late, said Nora. "And dark."', '"It is late, said Nora. "And dark."', "“It is late, said Nora."]
)
def test_a_missing_mark_costs_one_paragraph(text: str) -> None:
    assert speech(f"{text}\n\n“Yes,” said Tom.", CAST)[-1] == ("Tom", "Yes,")


def test_a_missing_mark_turns_no_narration_into_speech() -> None:
    text = '"It is late, said Nora. "And dark." She left.'
    assert [words for _, words in speech(text, CAST)] == ["It is late, said Nora.", "And dark."]


def test_inch_marks_open_and_close_nothing() -> None:
    text = 'Tom is 5\'10" tall. "Come in," said Nora. "It is 6" long," said Tom.'
    assert speech(text, CAST) == [("Nora", "Come in,"), ("Tom", 'It is 6" long,')]


def test_invisible_characters_are_no_part_of_a_name() -> None:
    assert speech("“It´s cold,” said No\u00adra.", CAST) == [("Nora", "It’s cold,")]


def test_what_could_not_be_read_is_told_once_per_book(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = tmp_path / "book.txt"
    book.write_text(
        "“Come in,” said Nora. “It is late, and the ferry has gone.”\n\n"
        "—Then I stay, said Tom.\n\n—So be it.\n\n"
        "‘Why is it always me?’ Tom wondered.\n\n"
        "“It is late, said Nora.\n\nTom left.\n"
    )
    (tmp_path / "cast.yaml").write_text("characters: [{name: Nora}, {name: Tom}]")
    assert batch("generate", book, "--characters", tmp_path / "cast.yaml", "--out", tmp_path / "t.jsonl") == 0
    told = (
        "a paragraph with speech in dashes: 2, the first in line 3; "
        "a paragraph with speech in single quotation marks: 1, the first in line 7; "
        "a quotation without a closing mark: 1, the first in line 9"
    )
    assert told in plain(capsys.readouterr().err).replace("\n", " ")
    assert (tmp_path / "t.review.txt").read_text().count(told) == 1
