from __future__ import annotations

import contextlib
import gc
import json
import re
import time
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.text import reading
from service.text.alphabets import ALPHABETS
from service.text.reading import MAX_SILENCE_S, TextError, read

CASES = [json.loads(line) for line in (Path(__file__).parent / "readings.jsonl").read_text().splitlines()]
QUICK = hypothesis.settings(max_examples=300, derandomize=True, database=None, deadline=None)


def pauses(text: str) -> list[tuple[str, float]]:
    return [(sentence.text, sentence.pause_s) for sentence in read(text, "en").sentences]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}: {case['text'][:40]!a}")
def test_a_text_is_read_in_these_words(case: dict[str, Any]) -> None:
    spoken = read(case["text"], case["language"]).text
    assert spoken == case["spoken"]
    assert read(spoken, case["language"]).text == spoken, "a text in words stays as it is"


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith came. He sat down there.", ["Doctor Smith came.", "He sat down there."]),
        ("Pi is 3.14 today. Nothing else is.", ["Pi is three point one four today.", "Nothing else is."]),
        (
            '"Stop that now!" he said. "Go far away from me now."',
            ['"Stop that now!" he said.', '"Go far away from me now."'],
        ),
        ('"Who is there now?" Mrs. Bennet asked them all.', ['"Who is there now?" Missus Bennet asked them all.']),
        ("Yes. No. Maybe we should go there.", ["Yes. No. Maybe we should go there."]),
        ("A sentence of some length. Ah.", ["A sentence of some length. Ah."]),
        ("J. R. R. Tolkien wrote long books. We read them.", ["J R R Tolkien wrote long books.", "We read them."]),
    ],
)
def test_a_sentence_ends_at_its_true_end(text: str, sentences: list[str]) -> None:
    assert [sentence.text for sentence in read(text, "en").sentences] == sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A heading\n\nSome words.", [("A heading.", 0.5), ("Some words.", 0.0)]),
        ("One paragraph.\n\nAnother one.", [("One paragraph.", 0.35), ("Another one.", 0.0)]),
        ("- the first\n- the second", [("the first.", 0.2), ("the second.", 0.0)]),
        ('Wait <break time="1.5s"/> for it.', [("Wait,", 1.5), ("for it.", 0.0)]),
        ('Wait <break time="300ms"/> for it.', [("Wait,", 0.3), ("for it.", 0.0)]),
        ('Wait <break strength="strong"/> for it.', [("Wait,", 0.8), ("for it.", 0.0)]),
        ('The end.<break time="2s"/>', [("The end.", 2.0)]),
        ("They waited for hours... Nobody ever came.", [("They waited for hours.", 0.4), ("Nobody ever came.", 0.0)]),
        ("The end.\n.\n.\nA new day.", [("The end.", 0.6), ("A new day.", 0.0)]),
        ("One here.\n\n---\n\nTwo there.", [("One here.", 0.95), ("Two there.", 0.0)]),
    ],
)
def test_breaks_headings_lists_and_ellipses_are_pauses(text: str, expected: list[tuple[str, float]]) -> None:
    assert pauses(text) == expected


def test_silence_is_bounded() -> None:
    assert pauses('One.<break time="99s"/>Two.') == [("One.", 5.0), ("Two.", 0.0)]
    total = sum(pause for _, pause in pauses('word <break time="5s"/> ' * 100))
    assert total == MAX_SILENCE_S


@pytest.mark.parametrize(
    ("text", "language", "code", "named"),
    [
        ("", "en", "empty_text", "empty"),
        (" \n\t ", "en", "empty_text", "empty"),
        ("...", "en", "empty_text", "no letter or digit"),
        ("😀 — ?!", "en", "empty_text", "no letter or digit"),
        ("\u200b\ufeff", "en", "empty_text", "no letter or digit"),
        ("<script>x</script>", "en", "empty_text", "no letter or digit"),
        ("x" * 101, "en", "text_too_long", "101 characters, at most 100"),
        ("你好", "en", "unspeakable_text", "U+4F60 CJK UNIFIED IDEOGRAPH-4F60, U+597D"),
        ("The word мир means peace.", "en", "unspeakable_text", "U+043C CYRILLIC SMALL LETTER EM"),
        ("αβγδεζη", "en", "unspeakable_text", "and 2 more"),
        ("ひらがな", "zh", "unspeakable_text", "HIRAGANA LETTER HI"),
        ("한국어", "zh", "unspeakable_text", "HANGUL"),
        ("𠀀", "zh", "unspeakable_text", "U+20000"),
        ("。！", "zh", "empty_text", "no letter or digit"),
    ],
)
def test_a_text_that_cannot_be_spoken_is_refused_with_the_reason(
    text: str, language: str, code: str, named: str
) -> None:
    with pytest.raises(TextError, match=re.escape(named)) as refusal:
        read(text, language, max_chars=100)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Plain words.", ""),
        ("*bold* &amp; soft\u00adhyphen", ""),
        ("Hi 😀😀 you 🎉", "emoji 3: U+1F600 GRINNING FACE, U+1F389 PARTY POPPER"),
        ("a ⌘ key", "symbol 1: U+2318 PLACE OF INTEREST SIGN"),
        ("half \ud800 pair", "symbol 1: U+D800 lone surrogate"),
        ("Hi <script>x</script>there", "markup 1: <script>"),
        ("z\u0351o", "mark 1: U+0351 COMBINING LEFT HALF RING ABOVE"),
    ],
)
def test_what_is_left_out_is_named(text: str, header: str) -> None:
    found = reading.describe(read(text, "en"))
    assert found == header
    if header:
        with pytest.raises(TextError, match="cannot be spoken"):
            read(text, "en", strict=True)
    else:
        assert read(text, "en", strict=True)


def test_the_names_are_few() -> None:
    found = reading.describe(read("x " + "".join(map(chr, range(0x2400, 0x2420))), "en"))
    assert found.isascii()
    assert found.endswith(" and 27 more")


def test_an_engine_that_normalizes_gets_numbers_as_they_are() -> None:
    found = read("**Dr. Smith** paid $5.50 → 3 ½ &amp; [[x]] 😀 in 2024", "en", normalizes=True).text
    assert found == "Dr. Smith paid $5.50 to 3 1/2 &, x, in 2024."
    assert read("我有3.5元，今天是2024年。", "zh", normalizes=True).text == "我有3.5元，今天是2024年。"


@QUICK
@given(st.text(max_size=200), st.sampled_from(["en", "zh", "de"]), st.booleans())
def test_any_text_is_spoken_in_the_alphabet_or_refused(text: str, language: str, normalizes: bool) -> None:
    try:
        found = read(text, language, normalizes=normalizes)
    except TextError as refusal:
        hypothesis.event(refusal.code)
        return
    for sentence in found.sentences:
        assert all(map(ALPHABETS[language], sentence.text)), sentence
        assert any(map(str.isalnum, sentence.text)), sentence
        assert sentence.pause_s >= 0


LATIN = st.text(st.characters(codec="latin-1", exclude_categories=("Cc", "N")), max_size=60)


@QUICK
@given(LATIN)
def test_words_stay_words(text: str) -> None:
    """A reading of a reading is refused by no rule, and soon stays as it is: "I." alone may become "one."."""
    try:
        once = read(text, "en").text
    except TextError:
        return
    twice = read(once, "en").text
    assert read(twice, "en").text == twice


NASTY = (
    "a", "a ", "A ", "1", "1 ", "1,", "1,111,", "1.", "1/", "$1", "1:", "-", "- ", "—", ".", ". ", "...", "!", "?.",
    "(", "[", "![", "[a](", "<", "<a ", "<b>", "</", "&", "&amp;", "*", "**", "*a ", "_", "`", "`a", "~", "|", "|a",
    "# ", "> ", "1. ", "\n", "a\n", '"', "'", "' ", '" ', "@", "a@", "a.", "a.b", "A.", "Dr. ", "St. ", "http://",
    "+1 ", "555-", "II ", "1-", "^1", "5'", '5"', "😀", "½", "²", "é", "\u0301", "<!--", "<a b=", "\\", "{", "5%",
    "5 km", "5/", "v1", "1st", "'9", "May 1", "a\u200b", "<speak>", "<say-as interpret-as='characters'>",
    "<sub alias='a'>", "etc. ", "No. ", "1\n", "(s)", "“", "]", "a-", ",.", ".!", "-- ", "[a]: ", "| - |\n",
)  # fmt: skip
SMALL, LARGE = 1_000, 8_000
LINEAR = 28


def cost(text: str) -> float:
    """Return the seconds of CPU time to read a text, without the garbage collector, whose work others cause."""
    gc.disable()
    began = time.process_time()
    with contextlib.suppress(TextError):
        read(text, "en")
    took = time.process_time() - began
    gc.enable()
    return took


def growth(text: str, small: int, large: int) -> float:
    """Return how many times as much a long text costs; the least of three tries, because other work disturbs it."""
    least = max(0.002, min(cost(text[:small]) for _ in range(3)))
    return min(cost(text[:large]) / least for _ in range(3 if cost(text[:large]) > LINEAR * least else 1))


@pytest.mark.parametrize("unit", NASTY, ids=ascii)
def test_the_cost_grows_with_the_length(unit: str) -> None:
    """Quadratic growth would be 64 times."""
    assert growth(unit * LARGE, SMALL, LARGE) < LINEAR


def test_the_cost_of_a_hundred_thousand_characters() -> None:
    text = "".join(unit * 40 for unit in NASTY) * 20
    assert growth(text, 12_500, 100_000) < LINEAR
