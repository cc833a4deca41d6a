from __future__ import annotations

import pytest

from service.engines.glm_tts.sentences import LONG, sentences, stretches, units


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("Yes.", ["Yes."]),
        ("no end to be seen here", ["no end to be seen here"]),
        ("This is the first one. And this is the second!", ["This is the first one. ", "And this is the second!"]),
        ("dr. smith comes to town today. really?", ["dr. smith comes to town today. really?"]),
        ("Short. Also. But this one is long enough. So is this one, too.",
         ["Short. Also. But this one is long enough. ", "So is this one, too."]),
        ("今天天气很好。我们去公园吧！好。", ["今天天气很好。", "我们去公园吧！好。"]),
        ("What does it mean?! No one here knows...", ["What does it mean?! ", "No one here knows..."]),
        ("...", ["..."]),
    ],
)  # fmt: skip
def test_a_text_is_split_at_the_ends_of_sentences(text: str, pieces: list[str]) -> None:
    assert sentences(text) == pieces


def test_the_sentences_joined_are_the_text() -> None:
    text = "One. Two, three! Four five six seven eight nine?! Ten.\nEleven twelve thirteen.  Fourteen"
    assert "".join(sentences(text)) == text


def test_long_sentences_are_split_at_their_breaks() -> None:
    text = "When all of the others had gone to their beds, she sat at the window for a while; nothing moved, no sound "
    first, *rest = stretches(text * 2)
    assert first == "When all of the others had gone to their beds, she sat at the window for a while;"
    assert " ".join((first, *rest)) == (text * 2).strip()
    assert stretches("一" * 120) == ["一" * 50, "一" * 50, "一" * 20]


@pytest.mark.parametrize("text", ["internationalisation " * 100, "a " * 500, "x" * 1000, "一,a'b-3 " * 200, " . " * 90])
def test_no_piece_exceeds_the_limit_of_upstream(text: str) -> None:
    found = stretches(text)
    assert all(0 < sum(units(part)) <= LONG for part in found)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert all(part == part.strip() for part in found)
