"""Find the subject of a verb of speech in the narration beside a quotation, in English and Chinese. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from batch.book.mentions import Finder, Mention
from batch.book.names import CJK, masked
from batch.book.verbs import CHINESE, ENGLISH

_STOP = re.compile(r"[.!?…][”’\"'」』)]*(?=\s|$)|[。！？…]+[”’」』）]*")
_STOPPED = re.compile(r"[.!?…。！？;；][”’\"'」』)_]*\s*$")
_CJK = re.compile(f"[{CJK}]")
_NOUN = re.compile(r"\b(?:the|a|an|his|her|their|my)\s+$", re.IGNORECASE)
_CLAUSE_START = re.compile(
    r"(?:^|[,;:—–-]|\b(?:and|but|then|when|as|while|so|for|that|if|because)\b)\s*(?:the\s+)?$", re.IGNORECASE
)
_AND = re.compile(r"\b(?:and|but|then)(?:\s+\w+ly|\s+then)*\s*$")
_WAS = re.compile(r"[\s,;—–-]*(?:was|were|is|came|rang|ran)\s+(?:the\s+)?")
_WHO = re.compile(r",?(?:\s+\w+){0,4},?\s+who(?:,[^,]*,|\s+\w+ly|\s+had|\s+then|\s+also)*\s+", re.IGNORECASE)
_SMALL = (
    r"(?!(?:of|to|at|by|from|with|in|on|for|that|who|whom|which|as|and|or|but|than|about|into|beside|behind|near|after"
    r"|before|upon|over|when|while|if|because|until|nor|not|no|it|him|her|them|me|us|you)\b)[a-z][\w'’-]*"
)
_AFTER_VERB = re.compile(rf"\s+(?:{_SMALL}\s+){{0,3}}$")
_BEFORE_VERB = re.compile(
    r"(?:[,\s]+(?:\w+ly|had|has|have|was|were|is|then|also|again|only|just|now|merely|once|more|at|last|length|still|even"
    r"|always|never|often|soon|almost|could|would|did|must|might|will|shall|not|help|himself|herself|here|presently"
    r"|began|begins|went|continued|to|a|moment|later|thus|too|first|next|here))*\s*$",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    r"(?:,\s*(?:who|whom|whose|which|where|when|while|whilst|as|with|in|at|on|of|for|having|being|after|before|\w+ing|\w+ed)"
    r"\b[^,;:.!?]*)+,(?=\s*\w)",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"(?:\b(?:to|at|with|from|of|(?<![,;—-])(?<![,;—-]\s)for|by|towards?|behind|beside|upon|on|after|near|past|than|like|against|about|into|over"
    r"|told|asked|answered|called|asking|telling|calling|addressing|in|before|round|around|between|across|through)"
    r")\s+(?:the\s+|poor\s+|old\s+|little\s+|young\s+)*$",
    re.IGNORECASE,
)
_PERSON = re.compile(
    r"\s*(?P<person>(?:the|an?|his|her|my|their|our|another|one|[\w'’-]+['’]s)(?:\s+" + _SMALL + r"){1,3}?)"
    r"(?=\s*(?:[,.;:!?—–-]|$|\s(?:of|to|at|by|from|with|in|on|for|that|who|whom|which|as|and|but|when|while|\w+ly|\w+ing)\b))",
    re.IGNORECASE,
)
_PERSON_BEFORE = re.compile(
    r"(?:^|[,;]\s*|\band\s+)(?P<person>(?:the|an?|his|her|my|their|our|another|[\w'’-]+['’]s)(?:\s+"
    + _SMALL
    + r"){1,4})$",
    re.IGNORECASE,
)
_TAG = re.compile(r"[\s,—–―-]*(?P<verb>[a-z]+(?:ed|s)?(?:\s+(?:in|out|up|on|back|forth|off|away))?)(?=\s)")
_FUNCTION_WORDS = """
    and but or as when while with for to in at on which who that if than so then because though although until after
    before where from by of the a an his her my their not nor without
"""
_NOT_TAGS = frozenset(_FUNCTION_WORDS.split())
_COVERB = re.compile(
    r"[对對向跟朝给給着著把被让讓和同与與冲衝替为問问听聽看见見望盯瞪等叫使令警告告诉告訴](?:[^，。；：]{0,14})$"
)
_ADVERB = 2  # characters before the subject of a Chinese clause
_SHORT = 8  # characters of a Chinese clause that has no subject of its own
_CLAUSE = re.compile(r"[，。；：！？…]")


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a verb of speech; `sure` if it can be no other person.

    Args:
        objects: characters of the same sentence who are spoken to or about, so that no pronoun subject means them.
    """

    mention: Mention
    sure: bool
    objects: frozenset[int | None] = frozenset()


def introduces(narration: str) -> bool:
    """Return whether a narration is an open sentence, which the next quotation continues."""
    return bool(narration.strip()) and not _STOPPED.search(narration)


def before(narration: str, finder: Finder) -> Subject | None:
    """Return the subject of the last verb of speech in the last sentence of a narration."""
    sentence = last_sentence(narration)
    if _CJK.search(sentence):
        return _chinese_before(sentence, finder)
    return _english(sentence, finder, last=True) or _unknown_verb(sentence.rstrip(" ,:-—–"), finder)


def after(narration: str, finder: Finder, *, stopped: bool) -> Subject | None:
    """Return the subject of the verb after a quotation.

    Args:
        stopped: the quotation ends with a full stop, so that the narration is a sentence of its own.
    """
    sentence = first_sentence(narration)
    if _CJK.search(sentence):
        return _chinese_after(sentence, finder)
    if found := _english(sentence, finder, last=False):
        return replace(found, sure=found.sure and not (stopped and sentence.lstrip()[:1].isupper()))
    if found := _inverted(sentence, finder):
        return found
    owner = next((owner for owner in finder.owners(sentence) if _WAS.fullmatch(sentence, 0, owner.start)), None)
    return Subject(owner, sure=False) if owner else None


def _english(sentence: str, finder: Finder, *, last: bool) -> Subject | None:
    """Return the person beside a verb of speech, or else the only one before it.

    Args:
        last: use the last verb with a person beside it, as before a quotation; otherwise the first.
    """
    masked = _RELATIVE.sub(lambda match: " " * len(match.group()), sentence)
    verbs = [verb for verb in ENGLISH.finditer(masked) if not _NOUN.search(masked, 0, verb.start())]
    mentions = finder.all(masked)
    free = [mention for mention in mentions if not is_object(masked, mention)]
    objects = frozenset(mention.character for mention in mentions if mention not in free)
    for verb in reversed(verbs) if last else verbs:
        found = _beside(masked, verb, mentions, free)
        between = [mention for mention in free if found and mention.start > max(verb.end(), found.mention.end)]
        if found and not (last and between):
            return replace(found, objects=objects)
    known = [
        mention for mention in free if verbs and mention.end <= verbs[-1 if last else 0].start() and _is_known(mention)
    ]
    if not known:
        return None
    subjects = [mention for mention in known if _CLAUSE_START.search(masked, 0, mention.start)]
    joined = _AND.search(masked, 0, verbs[-1 if last else 0].start())
    people = {(mention.character, mention.gender) for mention in (free if joined else mentions)}
    return Subject((subjects or known)[-1], len(people) == 1, objects)


def _beside(text: str, verb: re.Match[str], mentions: Sequence[Mention], free: Sequence[Mention]) -> Subject | None:
    """Return the person right before or after a verb."""
    earlier = [mention for mention in mentions if mention.end <= verb.start()]
    if earlier and _WHO.fullmatch(text, earlier[-1].end, verb.start()):
        return Subject(earlier[-1], sure=True)
    if earlier and earlier[-1] in free and _BEFORE_VERB.fullmatch(text, earlier[-1].end, verb.start()):
        group = len(earlier) > 1 and text[earlier[-2].end : earlier[-1].start] in {" and ", ", and "}
        return Subject(earlier[-1], sure=not group)
    later = [mention for mention in mentions if mention.start > verb.end()]
    if later and _AFTER_VERB.fullmatch(text, verb.end(), later[0].start):
        return Subject(later[0], sure=True)
    if person := _PERSON.match(text, verb.end()) or _PERSON_BEFORE.search(text[: verb.start()].rstrip()):
        return Subject(Mention(person.start("person"), person.end("person"), person.group("person")), sure=True)
    return None


def _is_known(mention: Mention) -> bool:
    return mention.character is not None or mention.gender is not None


def _unknown_verb(tail: str, finder: Finder) -> Subject | None:
    """Return the person right before the last word, as in `and Tom howled,`."""
    mentions = finder.all(tail)
    if mentions and re.fullmatch(r"(?:\s+\w+ly)?\s+\w+ed(?:\s+(?:out|\w+ly))?\s*", tail[mentions[-1].end :]):
        return Subject(mentions[-1], sure=True)
    return None


def _inverted(sentence: str, finder: Finder) -> Subject | None:
    """Return the person after an unknown verb that continues the quotation's sentence, as in `breathed Nora`."""
    tag = _TAG.match(sentence)
    if not tag or tag.group("verb").split()[0] in _NOT_TAGS:
        return None
    mentions = [mention for mention in finder.all(sentence) if mention.start > tag.end("verb")]
    if mentions and _AFTER_VERB.fullmatch(sentence, tag.end("verb"), mentions[0].start):
        return Subject(mentions[0], sure=True)
    return None


def _chinese_before(sentence: str, finder: Finder) -> Subject | None:
    verbs = list(CHINESE.finditer(sentence))
    return _chinese(sentence, verbs[-1], finder) if verbs else None


def _chinese_after(sentence: str, finder: Finder) -> Subject | None:
    clauses = [match.start() for match in _CLAUSE.finditer(sentence)] or [len(sentence)]
    introduces = sentence.rstrip().endswith(("：", "，", ":"))
    for number, end in enumerate(clauses):
        start = clauses[number - 1] if number else 0
        if introduces and number and number == len(clauses) - 1:
            break
        if verb := CHINESE.search(sentence, start, end):
            return _chinese(sentence[: verb.end()], verb, finder)
    return None


def _chinese(sentence: str, verb: re.Match[str], finder: Finder) -> Subject | None:
    """Return the subject: the first person of the verb's clause, or else of the nearest clause that starts with one."""
    mentions = [mention for mention in finder.all(sentence) if mention.end <= verb.start()]
    starts = [0, *(match.end() for match in _CLAUSE.finditer(sentence, 0, verb.start()))]
    objects = frozenset(mention.character for mention in mentions if _COVERB.search(sentence, 0, mention.start))
    near = verb.start() - starts[-1] <= _SHORT
    for number in range(len(starts) - 1, -1, -1):
        end = starts[number + 1] if number + 1 < len(starts) else verb.start()
        inside = [mention for mention in mentions if starts[number] <= mention.start < end]
        free = [mention for mention in inside if not _COVERB.search(sentence, starts[number], mention.start)]
        if free:
            return Subject(
                free[0], number == len(starts) - 1 or (near and free[0].start - starts[number] <= 2), objects
            )
        if number == len(starts) - 1 and finder.owners(sentence[starts[number] : verb.start()]):
            break
    label = sentence[starts[-1] : verb.start()].strip()
    return Subject(Mention(starts[-1], verb.start(), label), sure=True) if 1 < len(label) <= _SHORT else None


def is_object(text: str, mention: Mention) -> bool:
    """Return whether a mention is the object of a preposition or verb: to Anna."""
    chinese = _COVERB.search(text, 0, mention.start) if _CJK.match(text, mention.start) else None
    return bool(chinese or _PREPOSITION.search(text, 0, mention.start))


def first_sentence(narration: str) -> str:
    """Return the first sentence of a narration."""
    stop = _STOP.search(masked(narration)) or re.search(r"[;；]", narration)
    return narration[: stop.end()] if stop else narration


def last_sentence(narration: str) -> str:
    """Return the last sentence of a narration."""
    ends = [match.end() for match in _STOP.finditer(masked(narration)) if match.end() < len(narration.rstrip())]
    return narration[ends[-1] if ends else 0 :]


def is_chinese(text: str) -> bool:
    """Return whether a text has Chinese characters."""
    return bool(_CJK.search(text))
