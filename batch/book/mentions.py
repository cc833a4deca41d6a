"""Find mentions in narration: characters, pronouns, and unknown persons beside a verb of speech. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from batch.book.characters import Character, Gender

_ENGLISH_VERBS = """
    say says said ask asks asked reply replies replied answer answers answered whisper whispers whispered shout shouts
    shouted cry cries cried call calls called yell yells yelled mutter mutters muttered murmur murmurs murmured exclaim
    exclaims exclaimed add adds added continue continues continued explain explains explained remark remarks remarked
    observe observed respond responds responded retort retorts retorted snap snaps snapped growl growls growled hiss
    hissed sigh sighs sighed laugh laughed gasp gasped groan groaned mumble mumbled announce announced declare declared
    demand demanded inquire inquired enquire enquired insist insisted interrupt interrupted suggest suggested agree
    agreed admit admitted begin began repeat repeated return returned roar roared scream screamed sob sobbed stammer
    stammered tell tells told urge urged warn warned wonder wondered plead pleaded beg begged promise promised protest
    protested command commanded order ordered conclude concluded went\\s+on
"""
VERB = re.compile(
    rf"(?<![\w'’])(?:{'|'.join(_ENGLISH_VERBS.split())})\b(?!\s+(?:nothing|no\s+more|not\s+a\s+word))"
    r"|(?:回答|回应|回應|开口|開口|补充|補充|解释|解釋|嘀咕|低语|低語|呢喃|嘟囔|惊呼|驚呼|感叹|感嘆|命令|吩咐|提醒|自语|自語)"
    r"|(?<![小不没])(?<!没有)[说說](?!不|服|明)|(?<![知味街难地频渠管])道(?!路|理|歉|具|士|长)"
    r"|[喊嚷吼骂罵叹嘆讲講劝]|叫(?!做|作)|(?<![疑学访])[问問](?!题|題)|(?<![报回])答(?!案|应)|[应應](?=[了道声聲])"
)

_PRONOUNS: dict[str, Gender] = {"he": "male", "she": "female", "他": "male", "她": "female"}
_STRANGER = re.compile(
    r"(?:(?:Mr|Mrs|Ms|Dr|St)\.\s+)?\b[A-Z][\w’'-]*\w(?:\s+[A-Z][\w’-]*\w)*"
    r"|\bI\b|我|(?i:\b(?:they|we)\b)|他们|她们|他們|她們|我们|我們"
)
_STARTERS = """
    The A An And But Or So Then When While As At In On For From With After Before If It This That These Those There
    Here His Her Their My Our Your Its Now Once Suddenly Finally Still Yet Not No Yes What Who Why How Where Mr Mrs
    Looking Turning Smiling Without Even Only Just Again Later Chapter One Two Each Both All Some Every
"""
_NOT_NAMES = frozenset(_STARTERS.split())
_DETERMINER = r"(?i)\b(?:the|an?|his|her|my|their|our|another|\w+['’]s)"
_PERSON_BEFORE = re.compile(_DETERMINER + r"(?:\s+[\w-]+){1,4}\s*$")
_PERSON_AFTER = re.compile(_DETERMINER + r"(?:\s+(?!(?:with|in|to|from|at|as|and|who|on|by)\b)[\w-]+){1,4}")
_TO = re.compile(
    r"(?i)(?:\b(?:to|at|with|from|of|for|by|towards?|behind|beside|upon|on|after|near|past|than|like|against|about"
    r"|told|asked|answered|called)\s+(?:the\s+)?|[对對向跟朝给給着著把被让讓和同与與])$"
)
_POSSESSIVE = re.compile(r"['’]s\b|的(?!确)")


@dataclass(frozen=True, slots=True)
class Mention:
    """A mention: of a `character` (its number in the file), a pronoun's `gender`, or neither: an unknown person."""

    start: int
    end: int
    text: str
    character: int | None = None
    gender: Gender | None = None


class Finder:
    """Finds mentions of the characters of one file."""

    def __init__(self, characters: Sequence[Character]) -> None:
        self._known = {name: number for number, character in enumerate(characters) for name in character.names}
        names = sorted(self._known, key=len, reverse=True)
        self._names = re.compile("|".join([*map(_pattern, names), r"(?i:\b(?:he|she)\b)", "[他她](?![们們])"]))

    def known(self, text: str) -> list[Mention]:
        """Return the characters and pronouns in a text, in order, without possessives such as Anna's brother."""
        found = []
        for match in self._names.finditer(text):
            word = match.group()
            number = self._known.get(word, self._known.get(word[:1].lower() + word[1:]))
            if not _POSSESSIVE.match(text, match.end()):
                gender = None if number is not None else _PRONOUNS[word.lower()]
                found.append(Mention(match.start(), match.end(), word, number, gender))
        return found

    def subject(self, clause: str, *, last: bool) -> Mention | None:
        """Return the subject of a verb of speech in a clause; None without such a verb.

        Args:
            last: use the last verb of speech, as before a quotation; otherwise the first.
        """
        verbs = list(VERB.finditer(clause))
        if not verbs:
            return None
        verb = verbs[-1 if last else 0]
        mentions = sorted(self.known(clause) + self._strangers(clause, verb), key=lambda mention: mention.start)
        free = [mention for mention in mentions if not _TO.search(clause, 0, mention.start)]
        before = [mention for mention in free if mention.end <= verb.start()]
        after = [mention for mention in mentions if verb.end() <= mention.start <= verb.end() + 2]
        if before:
            return before[-1]
        return after[0] if after else Mention(0, len(clause), clause.strip(" ,.，。:："))

    def _strangers(self, clause: str, verb: re.Match[str]) -> list[Mention]:
        """Return names that are not in the file, and persons directly beside the verb: the old man said."""
        taken = self.known(clause)
        named = [match for match in _STRANGER.finditer(clause) if match.group() not in _NOT_NAMES]
        found = [match for match in named if not match.group().endswith(("'s", "’s"))]
        beside = (_PERSON_BEFORE.search(clause, 0, verb.start()), _PERSON_AFTER.match(clause, verb.end() + 1))
        found += [match for match in beside if match]
        mentions = [Mention(match.start(), match.end(), match.group().strip()) for match in found]
        return [mention for mention in mentions if not any(_overlap(mention, other) for other in taken)]


def _overlap(one: Mention, other: Mention) -> bool:
    return one.start < other.end and other.start < one.end


def _pattern(name: str) -> str:
    """Return the pattern of a name: a Latin name is a whole word; a lower-case one may start a sentence."""
    escaped = re.escape(name)
    if not name.isascii():
        return escaped
    first = f"[{name[0]}{name[0].upper()}]" if name[0].islower() else re.escape(name[0])
    return rf"\b{first}{re.escape(name[1:])}\b"
