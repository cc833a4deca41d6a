"""The signs that are left, in English words, and words in capitals."""

from __future__ import annotations

from service.text import symbols
from service.text.rules import one_of, rule

# pairs of signs, before the single ones
_COMPARED = {"<=": "less than or equal to", ">=": "greater than or equal to", "!=": "does not equal", "==": "equals",
             "->": "to", "=>": "implies", "&&": "and"}  # fmt: skip

RULES = (
    rule(one_of(_COMPARED), lambda match: f" {_COMPARED[match[0]]} "),
    rule(r"(?<=[A-Za-z])\(s\)", "s"),
    rule(r"(?<=[A-Za-z])/(?=[A-Za-z])", " "),
    rule(r"\b([CF])#(?!\w)", r"\1 sharp"),
    rule(r"/+", " "),
    rule(r"<(/?\w[^<>]{0,80})>", r"\1 "),
    rule(r"(?<=\w)([<>])(?=\w)", lambda match: f" {symbols.SIGNS[match[1]]} "),
    rule(rf"(?<!\S)({one_of(symbols.SIGNS)})(?!\S)", lambda match: f" {symbols.SIGNS[match[1]]} "),
    rule(r"[&@%‰°=×÷±§£€¥₹¢$+#](?:\s?[&@%‰°=×÷±§£€¥₹¢$+#])*",
         lambda match: f" {symbols.SIGNS[match[0][0]]} "),
)  # fmt: skip
