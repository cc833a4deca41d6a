"""`generate`: attribution of speech in English and Chinese, and the list of uncertain speakers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch.book.attribution import Attribution, Certainty
from batch.book.characters import Character
from batch.book.mentions import Finder
from batch.book.paragraphs import paragraphs
from batch.book.quotation import style
from batch.book.sentences import split
from tests.unit.batch.book import attributed as books
from tests.unit.batch.support import batch, plain, wav

CAST = (
    Character(name="Anna", aliases=("Miss Lee", "安娜"), gender="female"),
    Character(name="Bob", gender="male"),
    Character(name="Carl", gender="male"),
    Character(name="the innkeeper"),
    Character(name="张三", gender="male"),
    Character(name="李四", aliases=("李老师",), gender="female"),
)


def attributed(text: str, *, cast: tuple[Character, ...] = CAST) -> list[tuple[str, str]]:
    return books.attributed(text, cast)


def speech(text: str, *, cast: tuple[Character, ...] = CAST) -> list[tuple[str, str]]:
    return books.speech(text, cast)


@pytest.mark.parametrize(
    ("text", "speaker_name"),
    [
        ('"Come in," said Anna.', "Anna"),
        ("“Come in,” said Anna.", "Anna"),
        ("‘Come in,’ said Anna. ‘It’s Bob’s.’", "Anna"),
        ("'Come in,' said Anna.", "Anna"),
        ('"Come in!" Anna whispered to Bob.', "Anna"),
        ('Anna said: "Come in."', "Anna"),
        ('Anna said, "Come in."', "Anna"),
        ('Looking at Bob, Anna said quietly, "Come in."', "Anna"),
        ('Anna, who had been waiting for Bob, said, "Come in."', "Anna"),
        ('Anna turned to Bob and asked, "Come in?"', "Anna"),
        ('"Come in," said Miss Lee.', "Anna"),
        ('"Come in," said the innkeeper, and Bob came.', "the innkeeper"),
        ('The innkeeper said, "Come in."', "the innkeeper"),
        ('Bob left. Anna stood up. "Come in," she said.', "Anna"),
        ('Bob knocked, and Anna looked up. "Come in," he said.', "Bob"),
        ("张三说：“进来。”", "张三"),
        ("张三对李四说道：“进来。”", "张三"),
        ("看着李四，张三笑着说：“进来。”", "张三"),
        ("“进来。”李四说道。", "李四"),
        ("“进来，”李老师低声说，“快一点。”", "李四"),
        ("「進來。」李四说。", "李四"),
        ("张三走了。李四站起来。“进来。”她说。", "李四"),
        ("“进来。”安娜问道，张三没有回答。", "Anna"),
        ("“进来。”李四放下书，抬头问道。", "李四"),
        ("张三来了，李四也来了。\n\n“进来。”张三应了一声。", "张三"),
        ('Bob left.\n\nCarl opened one eye. "Come in," he growled.', "Carl"),
    ],
)
def test_a_stated_speaker_is_attributed(text: str, speaker_name: str) -> None:
    found = speech(text)
    assert found
    assert {name for name, _ in found} == {speaker_name}
    assert found[0][1].strip("。.!?,，") in ("Come in", "进来", "進來")


@pytest.mark.parametrize(
    ("text", "speaker_name"),
    [
        ('"Come in," said Dora.', "Dora"),
        ('"Come in," said the old man with a smile.', "the old man"),
        ('The old man said, "Come in."', "The old man"),
        ('"Come in," said Anna\'s brother.', "brother"),
        ('"Come in," I said.', "I"),
        ('Bob and Carl sat down. "Come in," he said.', "he may be Bob or Carl"),
        ('"Come in," she said.', "she fits no character nearby"),
        ("“进来。”王五说道。", "王五"),
        ('Bob came.\n\n"Good," said Carl.\n\n"Come in," he said.', "he may be Bob or Carl"),
        ("张三的妹妹说：“进来。”", "妹妹"),
    ],
)
def test_an_unknown_speaker_needs_review(text: str, speaker_name: str) -> None:
    attribution = Attribution(CAST, style([paragraph.text for paragraph in paragraphs(text)]))
    parts = [part for paragraph in paragraphs(text) for part in attribution.paragraph(paragraph.text)]
    speaker = [part.speaker for part in parts if part.speaker][-1]
    assert speaker.certainty is Certainty.UNKNOWN
    assert speaker.character is None
    assert speaker_name in f"{speaker.label} {speaker.reason}"


def test_a_character_without_gender_fits_any_pronoun() -> None:
    assert speech('The innkeeper and Bob came. "Come in," he said.') == [("?", "Come in,")]


def test_narration_and_speech_in_reading_order() -> None:
    text = 'It was late. "Who," asked Bob, "is there?" Nobody answered.\n\nThe "expert" left.'
    assert attributed(text) == [
        ("", "It was late."),
        ("Bob", "Who,"),
        ("", "asked Bob,"),
        ("Bob", "is there?"),
        ("", "Nobody answered."),
        ("", 'The "expert" left.'),
    ]


def test_two_speakers_in_a_paragraph() -> None:
    assert speech('"Who is it?" asked Anna. Bob answered, "It is me."') == [
        ("Anna", "Who is it?"),
        ("Bob", "It is me."),
    ]
    assert speech("张三问：“谁？”李四答道：“我。”") == [("张三", "谁？"), ("李四", "我。")]


def test_turns_without_names_are_guesses() -> None:
    text = '"One?" asked Anna.\n\n"Two," said Bob.\n\n"Three?"\n\n"Four."\n\nThe sun set.\n\n"Five."'
    assert [speaker for speaker, _ in speech(text)] == ["Anna", "Bob", "?Anna", "?Bob", "?"]


def test_a_character_who_acts_beside_a_quotation_is_a_guess() -> None:
    assert speech('Anna put down her cup. "Come in."') == [("?Anna", "Come in.")]
    assert speech('"Come in." Anna said it to herself.') == [("?Anna", "Come in.")]
    assert speech('"Come in." Anna said nothing more.') == [("?Anna", "Come in.")]
    assert speech('Anna came. "Come in." She looked at Bob. "Sit."') == [("?Anna", "Come in."), ("?Anna", "Sit.")]
    assert speech("张三和李四来了。\n\n“小声点！”她瞪了他一眼。") == [("?李四", "小声点！")]
    assert speech("“进来。”李四放下书，张三问道：“谁？”")[1] == ("张三", "谁？")


def test_a_quotation_over_paragraphs_keeps_its_speaker() -> None:
    text = "Anna said, “It began.\n\n“It went on.\n\n“It ended.”\n\nBob said:\n\n“Good.”"
    assert [speaker for speaker, _ in speech(text)] == ["Anna", "Anna", "Anna", "Bob"]


@pytest.mark.parametrize(
    "text", ["他在街道上看“小说”和“报纸”。", 'The sign read "closed" all day.', "Bob's 'new' car, an' all."]
)
def test_scare_quotes_belong_to_the_narrator(text: str) -> None:
    assert attributed(text) == [("", text)]


@pytest.mark.parametrize("name", ["Will", "May"])
def test_a_lower_case_word_is_not_a_name(name: str) -> None:
    assert not Finder([Character(name=name)]).known(f"He {name.lower()} come.")[1:]


def test_wrapped_lines_are_joined_into_paragraphs() -> None:
    wrapped = "It was a dark\nand stormy night, and\nnobody came.\n\nThen Bob\ncame.\n"
    assert [(paragraph.text, paragraph.line(0)) for paragraph in paragraphs(wrapped)] == [
        ("It was a dark and stormy night, and nobody came.", 1),
        ("Then Bob came.", 5),
    ]
    assert [paragraph.line(20) for paragraph in paragraphs(wrapped)] == [2, 6]
    chinese = "　　天黑了。\n　　张三来了。\n“谁？”\n"
    assert [paragraph.text for paragraph in paragraphs(chinese)] == ["天黑了。", "张三来了。", "“谁？”"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three?", ["One. Two!", "Three?"]),
        ("一二三。四五六。七八九十。", ["一二三。四五六。", "七八九十。"]),
        ("one two, three four", ["one two,", "three four"]),
        ("one two three four", ["one two", "three four"]),
        ("x" * 25, ["x" * 10, "x" * 10, "x" * 5]),
    ],
)
def test_long_text_is_split_at_natural_pauses(text: str, parts: list[str]) -> None:
    assert list(split(text, 10)) == parts


BOOK = """\
Chapter One

“Hello,” said Anna. Bob looked up.

“Hello,” said the stranger.

“你好。”张三说。
"""
YAML = """\
narrator: {voice: joe}
characters:
  - {name: Anna, gender: female, voice: amy}
  - {name: 张三, prompt_audio: voices/z.wav, prompt_text: 你好}
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "book.txt").write_text(BOOK)
    (tmp_path / "cast.yaml").write_text(YAML)
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices/z.wav").write_bytes(wav(4))
    return tmp_path / "book.txt"


def test_the_tasks_of_a_book_are_valid(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = book.parent / "new/tasks.jsonl"
    assert batch("generate", book, "--characters", book.parent / "cast.yaml", "--out", out) == 0
    tasks = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(task["output_name"], task["input_text"]) for task in tasks] == [
        ("000001-narrator", "Chapter One"),
        ("000002-anna", "Hello,"),
        ("000003-narrator", "said Anna. Bob looked up."),
        ("000004-unknown", "Hello,"),
        ("000005-narrator", "said the stranger."),
        ("000006-张三", "你好。"),
        ("000007-narrator", "张三说。"),
    ]
    assert [task.get("voice") for task in tasks] == ["joe", "amy", "joe", "joe", "joe", None, "joe"]
    assert (tasks[5]["prompt_audio"], tasks[5]["prompt_text"]) == ("../voices/z.wav", "你好")
    assert (out.parent / "tasks.review.txt").read_text().splitlines() == [
        "unknown speaker 'the stranger': 1",
        "line 5: 000004-unknown: unknown 'the stranger' (not in the characters file): Hello,",
    ]
    assert "1 uncertain speakers: review" in plain(capsys.readouterr().err)
    assert batch("check", out) == 0


def test_what_no_voice_can_speak_is_left_out_and_listed(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book.write_text("A fox ran off 🦊.\n\nМир и труд.\n\nThe end.\n")
    out = book.parent / "tasks.jsonl"
    assert batch("generate", book, "--characters", book.parent / "cast.yaml", "--out", out) == 0
    texts = [json.loads(line)["input_text"] for line in out.read_text().splitlines()]
    assert texts == ["A fox ran off 🦊.", "The end."]
    errors = plain(capsys.readouterr().err)
    assert "1 texts that no voice can speak are left out" in errors
    assert "no sound: 1 emoji" in errors
    (review,) = (out.parent / "tasks.review.txt").read_text().splitlines()
    assert review.startswith("left out, line 3: has characters that a voice of language 'en' cannot speak: U+041C")
    assert review.endswith("Мир и труд.")


def test_an_existing_task_file_is_not_overwritten(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = book.parent / "tasks.jsonl"
    out.write_text("corrected")
    options = ("generate", book, "--characters", book.parent / "cast.yaml", "--out", out)
    assert batch(*options) == 9
    assert "exists already" in plain(capsys.readouterr().err)
    assert out.read_text() == "corrected"
    assert batch(*options, "--force") == 0
    assert batch("check", out) == 0


def test_encoding_of_the_book(book: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book.write_text(BOOK, encoding="gb18030")
    options = ("generate", book, "--characters", book.parent / "cast.yaml", "--out", book.parent / "t.jsonl")
    assert batch(*options) == 9
    assert "is not utf-8" in (error := plain(capsys.readouterr().err))
    assert "--encoding, for example gb18030" in error
    assert batch(*options, "--encoding", "gb18030") == 0
    assert "张三说。" in (book.parent / "t.jsonl").read_text()


@pytest.mark.parametrize(
    ("yaml", "problem"),
    [
        ("characters: [{name: A, aliases: [B]}, {name: b}]", "more than one character is called b"),
        ("characters: [{name: A, voic: x}]", "characters.0.voic"),
        ("characters: [{name: A, gender: cat}, {nam: B}]", "characters.0.gender"),
        ("narrator: {prompt_text: x}", "prompt_text is given without prompt_audio"),
        ("narrator: {voice: a, voice: b}", "'voice' is repeated"),
        ("a: [", "is not YAML"),
        ("- a", "dictionary"),
    ],
)
def test_an_invalid_characters_file_is_an_error(
    book: Path, yaml: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (book.parent / "cast.yaml").write_text(yaml)
    out = book.parent / "t.jsonl"
    assert batch("generate", book, "--characters", book.parent / "cast.yaml", "--out", out) == 9
    assert problem in plain(capsys.readouterr().err)
    assert not out.exists()
