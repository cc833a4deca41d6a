"""Abbreviations and initials, and whether a sentence ends with them."""

from __future__ import annotations

import re

from service.text.rules import Match, one_of, rule

_STARTERS = (
    "The|A|An|He|She|It|They|We|I|You|His|Her|Their|Its|My|Our|Your|But|And|Or|So|In|On|At|For|From|With|To|As|By|"
    "This|That|These|Those|There|Then|Now|Here|When|Where|Why|How|What|Who|If|After|Before|Once|Not|No|Yes|Some|"
    "All|One|Everyone|Nobody|Please|However|Meanwhile|Is|Are|Was|Were|Do|Does|Did|Can|Will|Would|Let"
)
_END = re.compile(rf"[\"')\]]*(?:$|\s+[\"'(\[]?(?:{_STARTERS})\b)")

_TITLES = {
    "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "Capt": "Captain",
    "Lt": "Lieutenant", "Sgt": "Sergeant", "Messrs": "Messieurs", "Mme": "Madame",
}  # fmt: skip
_TITLES_WITH_DOT = {
    "Col": "Colonel", "Gen": "General", "Maj": "Major", "Cpl": "Corporal", "Cmdr": "Commander", "Adm": "Admiral",
    "Rev": "Reverend", "Hon": "Honorable", "Sen": "Senator", "Rep": "Representative", "Gov": "Governor",
    "Mlle": "Mademoiselle", "Fr": "Father", "Mt": "Mount", "Ft": "Fort", "Supt": "Superintendent",
    "Insp": "Inspector", "Det": "Detective",
}  # fmt: skip
_WORDS = {
    "e.g": "for example", "i.e": "that is", "etc": "et cetera", "et al": "and others", "vs": "versus",
    "approx": "approximately", "dept": "department", "Dept": "Department", "est": "estimated", "avg": "average",
    "incl": "including", "excl": "excluding", "misc": "miscellaneous", "ca": "circa", "cf": "compare",
    "viz": "namely", "Jr": "Junior", "Sr": "Senior", "Esq": "Esquire", "Inc": "Inc", "Ltd": "Limited",
    "Co": "Company", "Corp": "Corporation", "Bros": "Brothers", "Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road",
    "Hwy": "Highway", "Apt": "Apartment", "Assn": "Association", "Univ": "University", "Govt": "Government",
    "Ph.D": "PhD", "M.D": "MD", "B.A": "BA", "M.A": "MA", "B.Sc": "BSc", "M.Sc": "MSc", "E.g": "For example",
    "I.e": "That is",
}  # fmt: skip
_OPTIONAL_DOT = ("vs", "e.g", "i.e", "etc")
_MONTHS = {
    "Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "Jun": "June", "Jul": "July",
    "Aug": "August", "Sept": "September", "Sep": "September", "Oct": "October", "Nov": "November", "Dec": "December",
}  # fmt: skip
_DAYS = {
    "Mon": "Monday", "Tue": "Tuesday", "Tues": "Tuesday", "Wed": "Wednesday", "Thu": "Thursday", 
    "Thurs": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip
_LABELS = {
    "No": "number", "Nos": "numbers", "Fig": "figure", "Figs": "figures",
    "fig": "figure", "figs": "figures", "p": "page", "pp": "pages", "P": "page", "vol": "volume", "Vol": "volume",
    "ch": "chapter", "Ch": "chapter", "Chap": "chapter", "chap": "chapter", "sec": "section", "Sec": "section",
    "Eq": "equation", "eq": "equation", "Op": "opus", "op": "opus", "Art": "article", "art": "article",
    "para": "paragraph", "pt": "part", "Pt": "part", "c": "circa", "ed": "edition", "Rm": "room", "Ver": "version",
    "ver": "version", "Ext": "extension", "ext": "extension", "col": "column", "line": "line",
}  # fmt: skip


def ends_here(match: Match) -> bool:
    """Return whether a sentence ends after the match, to judge by what follows."""
    return bool(_END.match(match.string, match.end()))


def _stopped(reading: str, match: Match) -> str:
    return f"{reading}." if match[0].endswith(".") and ends_here(match) else reading


def _half_day(match: Match) -> str:
    return _stopped(f" {match[1].upper()}M", match)


def _dotted(match: Match) -> str:
    """Return U.S. as US; a single letter may also be the last word of a sentence."""
    return _stopped(match[0].replace(".", "").replace(" ", ""), match)


def _initial(match: Match) -> str:
    return match[0] if ends_here(match) else f"{match[1]} "


def _drive(match: Match) -> str:
    return _stopped(f"{match[1]} {'Drive' if match[2] == 'Dr' else 'Street'}", match)


RULES = (
    rule(r"(?<=\d)\s?([ap])\.?\s?m\b\.?(?!\w)", _half_day, re.IGNORECASE),
    rule(r"\b([ap])\.\s?m\.", _half_day),
    rule(rf"\b({one_of(_TITLES)})\.?\s?(?=[A-Z]|(?:and|&)\s[A-Z])", lambda match: f"{_TITLES[match[1]]} "),
    rule(rf"\b({one_of(_TITLES_WITH_DOT)})\.\s?(?=[A-Z])", lambda match: f"{_TITLES_WITH_DOT[match[1]]} "),
    # Saint before a name; Street and Drive after one
    rule(r"(?<![\w.])([A-Z][a-z]{1,20}(?:'s)?|\d{1,4}(?:st|nd|rd|th)) (St|Dr)\.(?!\s[A-Z][a-z]+(?:'s)?\s(?:St|Dr)\b)",
         lambda match: match[0] if match[1] in ("On", "In", "At", "The", "To", "From", "And") else _drive(match)),
    rule(r"\bSt\.\s?(?=[A-Z])", "Saint "),
    rule(rf"\b({one_of(_LABELS)})\.\s?(?=\d)", lambda match: f"{_LABELS[match[1]]} "),
    rule(rf"\b({one_of(_MONTHS)})(?:\.|(?=\s\d))(?=[\s,]|$)", lambda match: _stopped(_MONTHS[match[1]], match)),
    rule(rf"\b({one_of(_DAYS)})\s?[–-]\s?({one_of(_DAYS)})\b", lambda match: f"{_DAYS[match[1]]} to {_DAYS[match[2]]}"),
    rule(rf"\b({one_of(_DAYS)})\.(?=,|\s[\da-z])", lambda match: _DAYS[match[1]]),
    rule(rf"\b(?:({one_of(_WORDS)})\.(?![\w.])|({one_of(_OPTIONAL_DOT)})(?![\w.]))",
         lambda match: _stopped(_WORDS[match[1] or match[2]], match)),
    rule(r"\bw/o\b", "without"),
    rule(r"\bw/(?=\s)", "with"),
    rule(r"(?<![\w.])(?:[A-Za-z]\.){1,5}[A-Za-z](?:\.(?!\w)|(?![\w.]))", _dotted),
    rule(r"(?<![\w.'])I\.(?=\s[A-Z]\.)", "I"),
    rule(r"(?<![\w.'])([A-HJ-Z])\.(?=\s?[A-Z])", _initial),
)  # fmt: skip
