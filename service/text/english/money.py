"""Amounts of money in English words."""

from __future__ import annotations

from typing import NamedTuple

from service.text.english.numbers import NUMBER, cardinal, decimal, is_one
from service.text.rules import Match, one_of, rule


class Currency(NamedTuple):
    """Names of a currency and its hundredth, in singular and plural."""

    one: str
    many: str
    cent: str = ""
    cents: str = ""


_DOLLAR = Currency("dollar", "dollars", "cent", "cents")
_SIGNS = {
    "$": _DOLLAR,
    "£": Currency("pound", "pounds", "penny", "pence"),
    "€": Currency("euro", "euros", "cent", "cents"),
    "¥": Currency("yen", "yen"),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "₩": Currency("won", "won"),
    "₽": Currency("ruble", "rubles", "kopeck", "kopecks"),
    "₺": Currency("lira", "lira"),
    "₫": Currency("dong", "dong"),
    "₴": Currency("hryvnia", "hryvnias"),
    "₪": Currency("shekel", "shekels"),
    "₱": Currency("peso", "pesos"),
    "₿": Currency("bitcoin", "bitcoins"),
}
_CODES = {
    "USD": Currency("US dollar", "US dollars", "cent", "cents"),
    "EUR": _SIGNS["€"],
    "GBP": _SIGNS["£"],
    "JPY": _SIGNS["¥"],
    "CNY": Currency("yuan", "yuan"),
    "RMB": Currency("yuan", "yuan"),
    "INR": _SIGNS["₹"],
    "CHF": Currency("Swiss franc", "Swiss francs"),
    "CAD": Currency("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": Currency("Australian dollar", "Australian dollars", "cent", "cents"),
}
_COUNTRIES = {"US": "US ", "C": "Canadian ", "CA": "Canadian ", "A": "Australian ", "AU": "Australian ",
              "NZ": "New Zealand ", "HK": "Hong Kong ", "": ""}  # fmt: skip
_SHORT = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "b": "billion",
          "B": "billion", "bn": "billion", "tn": "trillion", "T": "trillion"}  # fmt: skip
_SIGN, _CODE = one_of(_SIGNS), one_of(_CODES)
_SCALE = r"(?:\s?(hundred|thousand|million|billion|trillion)\b|(bn|mn|tn|[kKmMbBT])\b)?"


def _spoken(number: str, currency: Currency, country: str = "", scale: str = "") -> str:
    number = number.replace(",", "")
    one, many = country + currency.one, country + currency.many
    if scale:
        return f"{decimal(number)} {scale} {many}"
    whole, _, fraction = number.partition(".")
    if not currency.cent or len(fraction) not in (0, 2):
        return f"{decimal(number)} {one if is_one(number) else many}"
    cents = int(fraction or 0)
    small = f"{cardinal(str(cents))} {currency.cent if cents == 1 else currency.cents}"
    if not int(whole or 0) and cents:
        return small
    spoken = f"{cardinal(whole or '0')} {one if whole == '1' else many}"
    if not cents:
        return spoken
    return f"{spoken} {cardinal(str(cents))}" if cents > 9 else f"{spoken} and {small}"


def _before(match: Match) -> str:
    currency, country = _SIGNS[match[3]], _COUNTRIES[match[2] or ""]
    scale = match[6] or _SHORT.get(match[7] or "", "")
    minus, plus = ("minus " if match[1] else ""), match[5]
    if plus:
        return f"{minus}{decimal(match[4])} to {_spoken(plus, currency, country, scale)}"
    return minus + _spoken(match[4], currency, country, scale)


def _after(match: Match) -> str:
    name = match[3]
    number = match[1].replace(",", ".") if match[2] else match[1]
    return _spoken(number, _SIGNS.get(name) or _CODES[name])


def _code(match: Match) -> str:
    return _spoken(match[2], _CODES[match[1]], "", match[3] or _SHORT.get(match[4] or "", ""))


RULES = (
    rule(rf"(?<![\w$])(-)?(US|C|CA|A|AU|NZ|HK)?({_SIGN})\s?({NUMBER})(?:\s?[–-]\s?{_SIGN}?({NUMBER}))?{_SCALE}",
         _before),
    # the comma of "3,20 €" separates decimals
    rule(rf"(?<![\w.,])(\d++(,\d\d)|{NUMBER})\s?({_SIGN}|{_CODE}\b)", _after),
    rule(rf"\b({_CODE})\s?({NUMBER}){_SCALE}", _code),
    rule(rf"(?<![\w.,])¢({NUMBER})", lambda match: f"{decimal(match[1])} cent{'' if is_one(match[1]) else 's'}"),
    rule(rf"(?<![\w.,])({NUMBER})\s?¢", lambda match: f"{decimal(match[1])} cent{'' if is_one(match[1]) else 's'}"),
)  # fmt: skip
