"""Languages of the page: English, and Chinese for a browser that prefers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.page.chinese import CHINESE


class Language(StrEnum):
    """Language tags of the page, which are also Gradio's."""

    ENGLISH = "en"
    CHINESE = "zh-CN"


@dataclass(frozen=True)
class Translator:
    """Translates texts of the page, which the code has in English."""

    language: Language

    def __call__(self, text: str, /, **values: object) -> str:
        """Return the text in the language, with values for its {fields}."""
        if self.language is Language.CHINESE:
            text = CHINESE.get(text, text)
        return text.format(**values)


ENGLISH = Translator(Language.ENGLISH)


def translator_for(headers: Mapping[str, str]) -> Translator:
    """Return the translator for a request: Chinese if the browser prefers any Chinese to English."""
    return Translator(_preferred(headers.get("accept-language", "")))


def _preferred(accepted: str) -> Language:
    known = {"en": Language.ENGLISH, "zh": Language.CHINESE}
    ranked = sorted(map(_language_and_weight, accepted.lower().split(",")), key=lambda pair: -pair[1])
    return next((known[name] for name, weight in ranked if name in known and weight > 0), Language.ENGLISH)


def _language_and_weight(entry: str) -> tuple[str, float]:
    """Parse an entry of Accept-Language such as `zh-TW;q=0.8`; a malformed weight counts as 0."""
    tag, _, weight = entry.partition(";")
    try:
        value = float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        value = 0.0
    return tag.strip().partition("-")[0], value


class Labels:
    """Texts of the page's controls: the browser chooses among their translations.

    Each call returns a reference that Gradio's components accept in place of a text.
    """

    def __init__(self, gr: Any) -> None:
        self.i18n = gr.I18n(**{language.value: {} for language in Language})

    def __call__(self, text: str, /, **values: object) -> Any:
        """Add a text; see Translator."""
        tables = self.i18n.translations
        key = f"page{len(tables[Language.ENGLISH])}"  # a text itself could hold characters that have a meaning in keys
        for language in Language:
            tables[language][key] = Translator(language)(text, **values)
        return self.i18n(key)
