"""Reduce punctuation to the marks that engines turn into pauses."""

from __future__ import annotations

import re

from service.text.rules import Match, apply, rule


def _loud(match: Match) -> str:
    return "?" if "?" in match[0] else "!"


_BOTH = (
    rule(r"\.(?: \.)+", "..."),
    rule(r"[!?]{2,}", _loud),
    rule(r"(?<=[a-z]{2}[.!?])(?=[A-Z][a-z])", " "),
    rule(r"\s?(?<!\.)\.{2,}+(?=\s?[^\W\d_A-Z])", ", "),
    rule(r"\s?\.{2,}", "… "),
    rule(r"\s?(?:[—–]+|-{2,})\s?", ", "),
    rule(r" -+ |^-+ | -+$", ", "),
    rule(r"\s?[(\[{]+\s?|\s?[)\]}]+", ", "),
    rule(r"[*_~^|\\<>`]+", " "),
    rule(r"(?<![\w-])-++(?!\d)|(?<!-)-++(?!\w)", " "),
    rule(r"\"\s?\"+", " "),
    rule(r"\s+", " "),
    rule(r" ?([,;:])(?: ?[,;:])*", r"\1"),
    rule(r",(?= ?[.!?…])", ""),
    rule(r"(?<=[.!?…;:]),", ""),
    rule(r" (?=[,;:.!?…](?:\W|$))", ""),
    rule(r"([,;:])(?=[^\W\d])", r"\1 "),
    rule(r"(?<![.,;:])[.,;:]++(?=[!?…])", ""),
    rule(r"([.!?…])(?: ?[.,;:])+(?=\W|$)", r"\1"),
)
_FIRST = re.compile(r"^[\s,;:.!?…'-]+(?=\w|\")")


def tidy(text: str) -> str:
    """Return a line with dashes and brackets as commas, ellipses as "…", and single marks."""
    return _FIRST.sub("", apply(_BOTH, text)).strip(" ,")


_CHINESE = (
    rule(r"\s+(?=[.,!?;:])", ""),
    rule(r"(?:[—–]+|-{2,})", "，"),
    rule(r"(?:…|\.{3})+", "…"),
    rule(r"[（(\[{【〔〖]", "，"),
    rule(r"[）)\]}】〕〗]", "，"),
    rule(r"[「『」』“”]", '"'),
    rule(r"[*_~^|\\<>`～〈〉・]+", " "),
    rule(r"([！!？?])[！!？?]+", r"\1"),
    rule(r"(?<=[\u4e00-\u9fff]) ?, ?|, ?(?=[\u4e00-\u9fff])", "，"),
    rule(r"(?<=[\u4e00-\u9fff])\. ?", "。"),
    rule(r"(?<=[\u4e00-\u9fff])! ?", "！"),
    rule(r"(?<=[\u4e00-\u9fff])\? ?", "？"),
    rule(r"(?<=[\u4e00-\u9fff])[;；] ?", "；"),
    rule(r"(?<=[\u4e00-\u9fff]): ?", "："),
    rule(r"\s+", " "),
    rule(r"(?<=[\u4e00-\u9fff，。！？；：、]) | (?=[\u4e00-\u9fff，。！？；：、])", ""),
    rule(r"[，、；：]*([，、；：])", r"\1"),
    rule(r"，(?=[。！？…”])", ""),
    rule(r"(?<=[。！？…“])，", ""),
)
_CHINESE_FIRST = re.compile(r"^[\s，、；：。！？…,.:;!?-]+(?=\w|“)")


def tidy_chinese(text: str) -> str:
    """Return a line of Chinese with Chinese marks."""
    return _CHINESE_FIRST.sub("", apply(_CHINESE, text)).strip(" ，、")
