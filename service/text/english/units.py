"""Measures with units in English words."""

from __future__ import annotations

from service.text.english.numbers import NUMBER, decimal, is_one
from service.text.rules import Match, one_of, rule

_METRIC = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "μm": "micrometer", "nm": "nanometer",
    "kg": "kilogram", "g": "gram", "mg": "milligram", "μg": "microgram", "t": "ton", "l": "liter", "L": "liter",
    "ml": "milliliter", "mL": "milliliter", "cl": "centiliter", "ha": "hectare",
}  # fmt: skip
_OTHER = {
    "mi": "mile", "yd": "yard", "ft": "foot", "lb": "pound", "lbs": "pound", "oz": "ounce", "gal": "gallon",
    "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "Hz": "hertz", "W": "watt", "kW": "kilowatt",
    "MW": "megawatt", "GW": "gigawatt", "kWh": "kilowatt hour", "MWh": "megawatt hour", "V": "volt", "kV": "kilovolt",
    "mA": "milliampere", "Ah": "ampere hour", "mAh": "milliampere hour", "Ω": "ohm", "kΩ": "kiloohm", "N": "newton",
    "Pa": "pascal", "kPa": "kilopascal", "hPa": "hectopascal", "bar": "bar", "psi": "pound per square inch",
    "J": "joule", "kJ": "kilojoule", "cal": "calorie", "kcal": "kilocalorie", "dB": "decibel", "KB": "kilobyte",
    "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte", "KiB": "kibibyte",
    "MiB": "mebibyte", "GiB": "gibibyte", "kbps": "kilobit per second", "Mbps": "megabit per second",
    "Gbps": "gigabit per second", "Mbit": "megabit", "ms": "millisecond", "μs": "microsecond", "ns": "nanosecond",
    "s": "second", "sec": "second", "secs": "second", "min": "minute", "mins": "minute", "h": "hour", "hr": "hour",
    "hrs": "hour", "mph": "mile per hour", "kph": "kilometer per hour", "rpm": "revolution per minute",
    "yr": "year", "yrs": "year", "wk": "week", "wks": "week", "tsp": "teaspoon", "tbsp": "tablespoon",
    "fps": "frame per second", "dpi": "dot per inch", "px": "pixel", "pt": "point", "pts": "point",
}  # fmt: skip
UNITS = _METRIC | _OTHER
"""Units in the singular, by their signs."""

_PER = {"h": "hour", "hr": "hour", "s": "second", "sec": "second", "min": "minute", "d": "day", "day": "day",
        "m": "meter", "m^2": "square meter", "m^3": "cubic meter", "km": "kilometer", "kg": "kilogram", "l": "liter",
        "L": "liter", "ml": "milliliter", "cm": "centimeter", "week": "week", "month": "month", "year": "year",
        "gal": "gallon", "person": "person", "s^2": "second squared"}  # fmt: skip
_SHORT_PER = {"mo": "month", "yr": "year", "hr": "hour", "wk": "week"}
_PLURALS = {"foot": "feet", "hertz": "hertz", "inch": "inches", "kilohertz": "kilohertz", "megahertz": "megahertz",
            "gigahertz": "gigahertz"}  # fmt: skip
_POWERS = {"2": "square ", "3": "cubic "}
_BEFORE = rf"(?<![\w.,/])({NUMBER})"
_DEGREES = {"C": " Celsius", "F": " Fahrenheit", "K": " Kelvin", "N": " north", "S": " south", "E": " east",
            "W": " west"}  # fmt: skip


def plural(unit: str) -> str:
    """Return the plural of a unit: kilometers per hour."""
    head, space, rest = unit.partition(" per ")
    if head in _PLURALS:
        return _PLURALS[head] + space + rest
    return f"{head}s{space}{rest}"


def _named(number: str, unit: str) -> str:
    return f"{decimal(number)} {unit if is_one(number) else plural(unit)}"


def _measure(match: Match) -> str:
    power = _POWERS.get((match[3] or "").lstrip("^"), "")
    per = f" per {_PER[match[4]]}" if match[4] else ""
    return _named(match[1], power + UNITS[match[2]] + per)


def _degrees(match: Match) -> str:
    scale = _DEGREES[match[2]] if match[2] else ""
    return f"{decimal(match[1])} degree{'' if is_one(match[1]) else 's'}{scale}"


def _feet(match: Match) -> str:
    inches = f" {_named(match[2], 'inch')}" if match[2] else ""
    return _named(match[1], "foot") + inches


_ALL = f"({one_of(UNITS)})"

RULES = (
    rule(r"(?<![\w.,])(100|1000|1,000)s of\b", lambda match: f"{'hundreds' if match[1] == '100' else 'thousands'} of"),
    rule(
        rf"{_BEFORE}\s?[–-]\s?(?=(?:{NUMBER})\s?(?:{one_of(UNITS)}\b|°|%|percent))",
        lambda match: f"{decimal(match[1])} to ",
    ),
    rule(rf"(?:(?<=^)|(?<=[\s(]))-(?=(?:{NUMBER})\s?(?:°|%|{one_of(UNITS)}\b))", "minus "),
    rule(rf"{_BEFORE}\s?°\s?([CFKNSEW])?(?!\w)", _degrees),
    rule(rf"{_BEFORE}\s?%", lambda match: f"{decimal(match[1])} percent"),
    rule(r"(?<![\w.,])(\d{1,2})'\s?(?:(\d{1,2})\")?(?!\w)", _feet),
    rule(rf"(?<![\w.,/\"])({NUMBER})\"(?!\w)(?=[^\"]*$)", lambda match: _named(match[1], "inch")),
    rule(rf"{_BEFORE}\s?-?{_ALL}(\^?[23])?(?:/({one_of(_PER)}))?(?![\w/^])(?:\.(?=\s[a-z]|[,;:]))?", _measure),
    rule(r"(?<=\w)/(mo|yr|hr|wk)\b", lambda match: f" per {_SHORT_PER[match[1]]}"),
    rule(
        rf"(?<=\w)/({one_of(('hour', 'day', 'week', 'month', 'year', 'person', 'second', 'minute', 'night'))})\b",
        r" per \1",
    ),
)
