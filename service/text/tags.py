"""The tags of SSML and HTML inside a text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from typing import NamedTuple

MAX_BREAK_S = 5.0
"""Longest pause of one break, in seconds."""

_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)")
_ATTRIBUTE = re.compile(r"""(?<![\w:-])([a-zA-Z][\w:-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_TIME = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)")
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.8, "x-strong": 1.2}
_BLOCKS = {
    "p": 0.35, "s": 0.0, "br": 0.2, "div": 0.2, "li": 0.2, "tr": 0.2, "hr": 0.6, "blockquote": 0.35, "table": 0.35,
    "ul": 0.2, "ol": 0.2, "section": 0.35, "article": 0.35, "paragraph": 0.35, "sentence": 0.0, "title": 0.5,
    "h1": 0.5, "h2": 0.5, "h3": 0.5, "h4": 0.5, "h5": 0.5, "h6": 0.5, "pre": 0.35, "speak": 0.0,
}  # fmt: skip
_CELLS = ("td", "th")
_SILENT = ("script", "style", "audio", "desc", "svg", "math", "metadata", "head", "iframe", "object", "template")
_INLINE = frozenset((
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "body", "button", "center", "cite", "code", "data", "dd", "del",
    "details", "dfn", "dl", "dt", "em", "emphasis", "express-as", "figcaption", "figure", "font", "footer", "form",
    "header", "html", "i", "img", "input", "ins", "kbd", "label", "lang", "lexicon", "lookup", "main", "mark", "meta",
    "nav", "phoneme", "prosody", "q", "rp", "rt", "ruby", "samp", "say-as", "small", "span", "strike", "strong", "sub",
    "summary", "sup", "tbody", "tfoot", "thead", "time", "token", "tt", "u", "var", "voice", "w", "wbr",
))  # fmt: skip
_SPELLED = ("characters", "spell-out", "verbatim", "digits", "telephone")


class Action(NamedTuple):
    """Effect of a tag: text in its place, a pause after what came before, an element that is left out."""

    text: str = ""
    pause_s: float | None = None
    ends: bool = True
    dropped: str = ""


@dataclass
class State:
    """Open elements that change how their text is read."""

    _hidden: list[str] = field(default_factory=list)
    _spelled: bool = False

    def say(self, text: str) -> str:
        """Return the text as the open elements have it read."""
        if self._hidden:
            return ""
        return " ".join(text.replace(" ", "")) if self._spelled else text

    def read(self, source: str) -> Action:
        """Read one tag, comment, declaration or CDATA section."""
        if source.startswith("<![CDATA["):
            return Action(self.say(source[9:-3]))
        found = _TAG.match(source)
        if not found:
            return Action()
        closing, name = bool(found[1]), found[2].lower().rpartition(":")[2]
        if name in _SILENT or name == "sub":
            return self._hide(name, source, closing=closing)
        if self._hidden:
            return Action()
        if name in _BLOCKS or name == "break":
            pause_s = _BLOCKS[name] if name in _BLOCKS else break_s(_attributes(source))
            return Action(pause_s=pause_s, ends=name in _BLOCKS)
        return Action(self._inline(name, source, closing=closing))

    def _inline(self, name: str, source: str, *, closing: bool) -> str:
        """Return the text in place of a tag inside a line."""
        if name in _CELLS:
            return ", " if closing else ""
        if name == "say-as":
            self._spelled = not closing and _attributes(source).get("interpret-as") in _SPELLED
        if name == "img":
            return _attributes(source).get("alt", "")
        if name in _INLINE or closing or "=" in source or source.endswith("/>"):
            return ""
        return self.say(source[1:-1])  # no tag, but words in angle brackets

    def _hide(self, name: str, source: str, *, closing: bool) -> Action:
        alias = _attributes(source).get("alias") if name == "sub" else None
        if name == "sub" and alias is None and not (closing and "sub" in self._hidden):
            return Action()  # HTML's subscript
        if closing:
            self._hidden = [one for one in self._hidden if one != name]
            return Action()
        if not source.endswith("/>"):
            self._hidden.append(name)
        return Action(alias) if alias is not None else Action(dropped=name)


def break_s(attributes: dict[str, str]) -> float:
    """Return the seconds of SSML's break."""
    time = _TIME.fullmatch(attributes.get("time", "").strip().lower())
    if time:
        return min(MAX_BREAK_S, float(time[1]) / (1000 if time[2] == "ms" else 1))
    return _STRENGTHS.get(attributes.get("strength", "medium"), _STRENGTHS["medium"])


def _attributes(source: str) -> dict[str, str]:
    return {found[1].lower(): unescape(found[2] or found[3] or found[4] or "") for found in _ATTRIBUTE.finditer(source)}
