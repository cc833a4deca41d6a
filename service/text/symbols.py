"""Tables of characters: look-alikes, and the words for signs."""

from __future__ import annotations

LOOK_ALIKES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′´`ʼʻʹ＇‵", "'"),
        **dict.fromkeys("“”„‟″«»‹›〝〞〟＂‶❝❞", '"'),
        **dict.fromkeys("‐‑⁃−﹣", "-"),
        **dict.fromkeys("‒–", "–"),
        **dict.fromkeys("—―⸺⸻", "—"),
        **dict.fromkeys("⁄∕", "/"),
        **dict.fromkeys("•‣◦●○■□▪▫◆◇▶►▸¦|\t", " , "),
        **dict.fromkeys("·∙⋅・", " "),
        **dict.fromkeys("¿¡", ""),
        "‼": "!!",
        "⁇": "??",
        "⁈": "?!",
        "⁉": "!?",
        "…": "...",
        "⋯": "...",
        "‥": "..",
        "℃": "°C",
        "℉": "°F",
        "№": "No. ",
        "µ": "μ",
    }
)
"""Characters that only look different, in every language."""

CHINESE_MARKS = str.maketrans(
    {"。": ". ", "、": ", ", "，": ", ", "；": "; ", "：": ": ", "？": "? ", "！": "! ", "・": " ", "～": "~"}
    | dict.fromkeys("【〔〖（", " (")
    | dict.fromkeys("】〕〗）", ") ")
    | dict.fromkeys("「」『』《》〈〉", '"')
)
"""Chinese punctuation for a voice of another language."""

PICTURES = {
    "→": "to", "➡": "to", "➜": "to", "➔": "to", "⟶": "to", "←": "from", "↔": "and", "⇔": "is equivalent to",
    "⇒": "implies", "↑": "up", "↓": "down", "✓": "check", "✔": "check", "✗": "cross",
    "✘": "cross", "∞": "infinity", "√": "square root of", "∑": "sum of", "∈": "in",
    "∫": "integral of", "∂": "partial", "≈": "approximately", "≅": "approximately", "≠": "does not equal",
    "≤": "less than or equal to", "≥": "greater than or equal to", "∴": "therefore", "∵": "because",
    "∠": "angle", "∆": "delta", "∅": "empty set", "∝": "proportional to", "⊂": "subset of", "∪": "union",
    "∩": "intersection", "©": "copyright", "®": "registered", "™": "trademark", "¶": "paragraph",
    "♯": "sharp", "♭": "flat", "℅": "care of",
}  # fmt: skip
"""Signs that no engine reads, in English words."""

CHINESE_PICTURES = {
    "→": "到", "➡": "到", "←": "从", "⇒": "推出", "↑": "上", "↓": "下", "✓": "对", "✔": "对", "✗": "错",
    "✘": "错", "∞": "无穷", "√": "根号", "≈": "约等于", "≠": "不等于", "≤": "小于等于", "≥": "大于等于",
    "©": "版权所有", "®": "注册商标", "™": "商标", "¶": "段",
}  # fmt: skip
"""The same in Chinese."""

_GREEK = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi
    psi omega
"""
GREEK = dict(zip("αβγδεζηθικλμνξοπρστυφχψω", _GREEK.split(), strict=True))
"""Greek letters that stand alone, as in formulas."""

SIGNS = {
    "&": "and", "@": "at", "%": "percent", "‰": "per mille", "°": "degrees", "+": "plus", "=": "equals",
    "×": "times", "÷": "divided by", "±": "plus or minus", "<": "less than", ">": "greater than", "#": "hash",
    "$": "dollars", "£": "pounds", "€": "euros", "¥": "yen", "¢": "cents", "§": "section", "₹": "rupees",
}  # fmt: skip
"""Signs that are left after all rules of English, in words."""
