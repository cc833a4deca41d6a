from __future__ import annotations

import pytest

from service.errors import InvalidError
from service.text_check import check_text


@pytest.mark.parametrize(
    "text",
    [
        "Good morning.",
        "Café, naïve — “quoted”; Łódź & Ångström…",
        "It costs $3.50, €4 or £2½ (100%)!",
        "Line one\nline two\ttabbed",
        "e\u0301",  # composed to é
    ],
)
def test_ordinary_text_is_accepted(text: str) -> None:
    assert check_text(f"  {text} ", "en", 100, "input")


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("", "empty_text", "empty"),
        (" \n\t ", "empty_text", "empty"),
        ("?!... —", "empty_text", "no letter or digit"),
        ("x" * 101, "text_too_long", "101 characters, at most 100"),
        ("bell \x07", "unspeakable_text", "U+0007 control character"),
        ("nul \x00", "unspeakable_text", "U+0000"),
        ("smile 😀", "unspeakable_text", "U+1F600 GRINNING FACE"),
        ("你好", "unspeakable_text", "U+4F60 CJK UNIFIED IDEOGRAPH-4F60, U+597D"),
        ("привет", "unspeakable_text", "U+043F CYRILLIC SMALL LETTER PE"),
        ("zero\u200bwidth", "unspeakable_text", "U+200B ZERO WIDTH SPACE"),
        ("right\u202eto left", "unspeakable_text", "U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("half \ud800", "unspeakable_text", "U+D800 lone surrogate"),
        ("αβγδεζη", "unspeakable_text", "and 2 more"),
    ],
)
def test_other_text_is_rejected_with_the_reason(text: str, code: str, named: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        check_text(text, "en", 100, "input")
    assert (refusal.value.code, refusal.value.param) == (code, "input")
    assert named in refusal.value.message


@pytest.mark.parametrize(
    "text", ["今天天气很好，我们去公园吧！", "OK，价格是￥３０（约$4）。", "〇《书》……——“好”", "Good morning."]
)
def test_a_chinese_voice_reads_chinese_and_english(text: str) -> None:
    assert check_text(text, "zh", 100, "input") == text


@pytest.mark.parametrize("text", ["ひらがな", "한국어", "привет", "smile 😀", "𠀀", "。！"])
def test_a_chinese_voice_rejects_other_scripts(text: str) -> None:
    with pytest.raises(InvalidError):
        check_text(text, "zh", 100, "input")
