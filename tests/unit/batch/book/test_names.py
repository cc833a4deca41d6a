"""Names as readers match them, and speakers who are sure, guessed or unknown."""

from __future__ import annotations

import unicodedata

import pytest

from batch.book.characters import Character
from tests.unit.batch.book.attributed import speech

CAST = (
    Character(name="Nora", aliases=("Mrs. Vale",), gender="female"),
    Character(name="Tom", aliases=("Captain Reed", "Reed"), gender="male"),
    Character(name="O'Hara", gender="male"),
    Character(name="Zoë", gender="female"),
    Character(name="Professor Lund", gender="male"),
    Character(name="J. B. Marsh", gender="male"),
    Character(name="The Innkeeper"),
    Character(name="Elizabeth Bennet", gender="female"),
    Character(name="Mr. Bennet"),
    Character(name="Mrs. Bennet"),
    Character(name="Henry van der Luyden", gender="male"),
    Character(name="林月", gender="female"),
    Character(name="陈海", gender="male"),
)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("Capt. Reed", "Tom"),
        ("Captain Reed", "Tom"),
        ("Mr. Reed", "Tom"),
        ("Mrs. Reed", "?"),
        ("Mister Reed", "Tom"),
        ("Prof. Lund", "Professor Lund"),
        ("Lund", "Professor Lund"),
        ("J. B. Marsh", "J. B. Marsh"),
        ("J.B. Marsh", "J. B. Marsh"),
        ("Marsh", "J. B. Marsh"),
        ("Mrs. Vale", "Nora"),
        ("Mrs Vale", "Nora"),
        ("O’Hara", "O'Hara"),
        ("OʼHara", "O'Hara"),
        ("NORA", "Nora"),
        ("poor old Nora", "Nora"),
        (unicodedata.normalize("NFD", "Zoë"), "Zoë"),
        ("the innkeeper", "The Innkeeper"),
        ("The INNKEEPER", "The Innkeeper"),
        ("Elizabeth", "Elizabeth Bennet"),
        ("Miss Bennet", "Elizabeth Bennet"),
        ("Mr. Bennet", "Mr. Bennet"),
        ("Mrs. Bennet", "Mrs. Bennet"),
        ("Dr. Bennet", "?"),
        ("Mr. van der Luyden", "Henry van der Luyden"),
        ("Norah", "?"),
        ("James Marsh", "?"),
    ],
)
def test_names_and_their_variants(words: str, name: str) -> None:
    assert [speaker for speaker, _ in speech(f'"It is open," said {words}.', CAST)] == [name]


def test_capitals_of_a_verb_and_a_lower_case_name() -> None:
    assert speech('"It is open," SAID NORA.', CAST) == [("Nora", "It is open,")]
    assert speech('"It is open," said nora.', CAST) == [("?", "It is open,")]


@pytest.mark.parametrize(
    ("text", "speaker"),
    [
        ('Nora said, "It is open."', "Nora"),
        ('"It is open," Nora said.', "Nora"),
        ('"It is open." That was Nora.', "?Nora"),
        ('Nora\'s voice came from the hall: "It is open."', "?Nora"),
        ('From the hall came Nora\'s voice. "It is open."', "?Nora"),
        ('"It is open," was Nora\'s answer.', "?Nora"),
        ('Tom, whom Nora had sent for, said: "It is open."', "Tom"),
        ('Tom, going to the door, where Nora stood, said: "It is open."', "Tom"),
        ('Nora looked at Tom, who said, "It is open."', "Tom"),
        ('"It is open," breathed Nora.', "Nora"),
        ('"It is open," chuckled Tom.', "Tom"),
        ('"It is open," put in Nora.', "Nora"),
        ('"It is open," said a voice that Tom knew to be Nora\'s.', "?"),
        ('"It is open," said the brother of Nora.', "?"),
        ('Tom came. "It is open, Tom," he said.', "?"),
        ('Tom told Nora, "It is open."', "Tom"),
        ('Nora jumped, and Tom howled, "It is open."', "Tom"),
        ('"Hush!" cried Tom, for Nora was no hero, and Zoë laughed, "It is open."', "Zoë"),
        ('Tom saw that Nora had gone, turned round and said, "It is open."', "?Nora"),
        ('Tom said that it was late, and Zoë took her chance: "It is open."', "?Tom"),
        ('Tom and Nora said, "It is open."', "?Nora"),
        ('"No," said Tom. Nora laughed. "It is open."', "?Tom"),
        ('Tom heard the innkeeper say, "It is open."', "The Innkeeper"),
        ('There was a knock. Nora called out,\n\n"It is open."', "Nora"),
        ("陈海对身边的林月说：“开着。”", "陈海"),
        ("陈海走到林月跟前，说：“开着。”", "陈海"),
        ("林月笑着看了一眼陈海，对他说：“开着。”", "林月"),
        ("陈海警告林月说：“开着。”", "陈海"),
        ("没等陈海说话，他媳妇林月就说：“开着。”", "林月"),
        ("陈海没有提起这事，但心虚的女儿立刻给父亲解释说：“开着。”", "?陈海"),
    ],
)
def test_only_a_stated_speaker_is_sure(text: str, speaker: str) -> None:
    assert speech(text, CAST)[-1][0] == speaker


def test_a_narrator_is_no_he() -> None:
    cast = (Character(name="Jake", aliases=("I",), gender="male"), Character(name="Bill", gender="male"))
    assert [name for name, _ in speech('"Come," I said. Bill came. "No," he said.', cast)] == ["Jake", "Bill"]
    assert [name for name, _ in speech('"Come," I said.\n\n"No," he said.', cast)] == ["Jake", "?"]
