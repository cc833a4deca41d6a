"""A rule of a language: a pattern, and how its matches are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

Match = re.Match[str]


class Rule(NamedTuple):
    """Replaces each match of the pattern by its reading.

    A pattern must take linear time on any text: bounded repetitions, or starts that a lookbehind makes unique.
    """

    pattern: re.Pattern[str]
    read: Callable[[Match], str] | str


def rule(pattern: str, read: Callable[[Match], str] | str, flags: int = 0) -> Rule:
    """Return a rule; a text as `read` is a template of re.sub."""
    return Rule(re.compile(pattern, flags), read)


def apply(rules: Iterable[Rule], text: str) -> str:
    """Apply the rules in order."""
    for pattern, read in rules:
        text = pattern.sub(read, text)
    return text


def one_of(words: Iterable[str]) -> str:
    """Return a pattern of any of the words, the longest first."""
    return "(?:" + "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) + ")"
