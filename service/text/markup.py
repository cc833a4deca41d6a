"""Read Markdown, HTML and SSML: split a text into segments of plain text with the pauses after them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from service.text import tags
from service.text.folding import Losses

if TYPE_CHECKING:
    from markdown_it.token import Token

PARAGRAPH, HEADING, ITEM, LINE, RULE = 0.35, 0.5, 0.2, 0.2, 0.6
"""Seconds of silence after each kind of block."""

_COLUMNS = 60  # texts are wrapped at this width or a larger one
_MARKED = re.compile(r"[*_`<&\[\]~|\\\n]|^\s*(?:#|>|[-+•▪‣◦●■–—]\s|\d{1,9}[.)]\s)")
_BULLET = re.compile(r"^([ \t]*)[•▪‣◦●■□▸►–—·](?=[ \t])", re.MULTILINE)
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]: *<?https?://[^\s]*(?: .*)?$", re.MULTILINE)

_REFERENCE = re.compile(r"\[([^\[\]\n]{1,200})\]\[[^\[\]\n]{0,80}\]")

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_PARSER.disable(["html_block", "code", "reference"])


@dataclass
class Segment:
    """Plain text without line breaks; `pause_s` follows it, and a sentence ends with it if `ends`."""

    text: str
    pause_s: float = 0.0
    ends: bool = True


def segments(text: str, losses: Losses) -> list[Segment]:
    """Split a cleaned text into segments; note elements that are left out."""
    if not _MARKED.search(text):
        return [Segment(text)]
    text = _BULLET.sub(r"\1-", _REFERENCE.sub(r"\1", _DEFINITION.sub("", text)))
    reader = _Reader(losses)
    for token in _PARSER.parse(text):
        reader.block(token)
    return reader.finish()


@dataclass
class _Reader:
    """Collects the text of inline tokens, and cuts it at the ends of blocks and at pauses."""

    losses: Losses
    found: list[Segment] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _pause: float = PARAGRAPH
    _state: tags.State = field(default_factory=tags.State)

    def block(self, token: Token) -> None:
        """Read one token of the block level."""
        match token.type:
            case "inline":
                self._inline(token.children or [])
            case "fence":
                self._text.append(token.content)
                self.cut(PARAGRAPH)
            case "heading_open":
                self._pause = HEADING
            case "list_item_open":
                self.cut(ITEM)
                self._pause = ITEM
                # markdown-it keeps the number of an ordered item here
                self._text += [f"{token.info}, "] if token.info else []
            case "td_close" | "th_close":
                self._text.append(", ")
            case "tr_close":
                self.cut(ITEM)
            case "paragraph_close" | "heading_close" | "list_item_close":
                self.cut(self._pause)
                self._pause = PARAGRAPH if token.level <= 1 else self._pause
            case "hr":
                self.pause(RULE)

    def _inline(self, tokens: Iterable[Token]) -> None:
        for token in tokens:
            match token.type:
                case "softbreak":
                    self._text.append("\n")
                case "hardbreak":
                    self.cut(LINE)
                case "html_inline":
                    self._tag(token.content)
                case "image":
                    self._text.append(token.content)
                case _:
                    self._say(token.content)

    def _say(self, text: str) -> None:
        self._text.append(self._state.say(text))

    def _tag(self, source: str) -> None:
        action = self._state.read(source)
        if action.dropped:
            self.losses.drop("markup", action.dropped)
        if action.text:
            self._text.append(action.text)
        if action.pause_s is not None:
            self.cut(action.pause_s, ends=action.ends)

    def cut(self, pause_s: float, *, ends: bool = True) -> None:
        """End the current segment; `pause_s` seconds follow."""
        lines = list(_lines("".join(self._text)))
        self._text.clear()
        for line in lines:
            self.found.append(Segment(line, LINE))
        if lines:
            self.found[-1] = Segment(lines[-1], pause_s, ends)
        elif not ends or pause_s == RULE:
            self.pause(pause_s)

    def pause(self, pause_s: float) -> None:
        """Lengthen the pause after the last segment."""
        if self.found:
            self.found[-1].pause_s += pause_s

    def finish(self) -> list[Segment]:
        """Return all segments."""
        self.cut(0.0)
        if self.found:
            last = self.found[-1]
            self.found[-1] = Segment(last.text, 0.0 if last.ends else last.pause_s)
        return self.found


def _lines(text: str) -> Iterable[str]:
    """Yield the parts of a paragraph between deliberate line breaks; a break where the text was wrapped is a space.

    A break is deliberate if the first word of the next line would have fitted, and starts as a sentence does.
    """
    lines = [line.strip() for line in text.split("\n")]
    width = max([_COLUMNS, *map(_width, lines)])
    current = ""
    for line in lines:
        if not line:
            continue
        word = line if _is_wide(line[0]) else line.partition(" ")[0]
        fits = _width(current.rpartition("\n")[2]) + 1 + _width(word[:40]) <= width
        if current and (not fits or line[0].islower()) and not _is_wide(line[0]):
            current += "\n" + line
        elif current:
            yield current.replace("\n", " ")
            current = line
        else:
            current = line
    if current:
        yield current.replace("\n", " ")


def _width(text: str) -> int:
    """Return the columns of a text: East Asian characters take two."""
    return len(text) if text.isascii() else sum(2 if _is_wide(char) else 1 for char in text)


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
