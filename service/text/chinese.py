"""Chinese in words: numbers, money, dates, times, percentages, units and signs."""

from __future__ import annotations

import functools
import re

from service.text.rules import Match, apply, one_of, rule

_DIGITS = "零一二三四五六七八九"
_SMALL = ("", "十", "百", "千")
_LARGE = ("", "万", "亿", "万亿", "亿亿")
_LONGEST = 16
_TWO = re.compile("(?<!十)二(?=[千万亿])")
_UNITS = {
    "km/h": "公里每小时", "km": "公里", "m^2": "平方米", "m^3": "立方米", "m/s": "米每秒", "m": "米", "cm": "厘米",
    "mm": "毫米", "kg": "公斤", "g": "克", "mg": "毫克", "t": "吨", "L": "升", "l": "升", "ml": "毫升", "mL": "毫升",
    "kWh": "千瓦时", "kW": "千瓦", "W": "瓦", "V": "伏", "GB": "吉字节", "MB": "兆字节", "KB": "千字节",
    "GHz": "吉赫", "MHz": "兆赫", "Hz": "赫兹", "h": "小时", "min": "分钟", "s": "秒", "ms": "毫秒", "km^2": "平方公里",
}  # fmt: skip
_MONEY = {"￥": "元", "¥": "元", "$": "美元", "€": "欧元", "£": "英镑", "₩": "韩元", "₽": "卢布"}
_SCALES = "[十百千万亿]{0,2}"
_MEASURES = "[个只位次天年月周岁块元斤倍本张条件种家名台辆颗遍点杯瓶双座顶份所间对声里米]"
_NUMBER = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?"
_SIGNS = {"&": "和", "+": "加", "=": "等于", "×": "乘", "÷": "除以", "±": "正负", "<": "小于", ">": "大于",
          "@": "艾特", "#": "号", "°": "度", "$": "美元", "€": "欧元", "£": "英镑", "¥": "元"}  # fmt: skip


def spell(digits: str) -> str:
    """Return each digit as a word."""
    return "".join(_DIGITS[int(digit)] for digit in digits)


@functools.lru_cache(4096)
def cardinal(digits: str) -> str:
    """Return a whole number in words; one with leading zeros or very many digits, digit by digit."""
    if len(digits) > _LONGEST or (len(digits) > 1 and digits.startswith("0")):
        return spell(digits)
    if not int(digits):
        return "零"
    padded = digits.zfill(-(-len(digits) // 4) * 4)
    groups = [padded[at : at + 4] for at in range(0, len(padded), 4)]
    spoken = ""
    for place, group in enumerate(groups):
        if not int(group):
            continue
        gap = spoken and (group[0] == "0" or not int(groups[place - 1]))
        spoken += ("零" if gap else "") + _group(group) + _LARGE[len(groups) - 1 - place]
    return _TWO.sub("两", spoken.removeprefix("一") if spoken.startswith("一十") else spoken)


def _group(digits: str) -> str:
    """Return four digits in words, without the zeros at the start."""
    spoken, zero = "", False
    for place, digit in enumerate(digits):
        if digit == "0":
            zero = bool(spoken)
        else:
            spoken += ("零" if zero else "") + _DIGITS[int(digit)] + _SMALL[3 - place]
            zero = False
    return spoken


def number(text: str) -> str:
    """Return a number with or without decimals in words."""
    whole, point, fraction = text.replace(",", "").partition(".")
    return cardinal(whole) + (f"点{spell(fraction)}" if point else "")


def _date(match: Match) -> str:
    month, day = int(match[2]), int(match[3])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{spell(match[1])}年{cardinal(str(month))}月{cardinal(str(day))}日"


def _time(match: Match) -> str:
    hour, minute, second = int(match[1]), int(match[2]), match[3]
    if hour > 24 or minute > 59:
        return f"{cardinal(str(hour))}比{cardinal(str(minute))}"
    hours = "两" if hour == 2 else cardinal(str(hour))
    minutes = f"{'零' if 0 < minute < 10 else ''}{cardinal(str(minute))}分" if minute or second else ""
    return f"{hours}点{minutes}" + (f"{cardinal(str(int(second)))}秒" if second else "")


def _degrees(match: Match) -> str:
    return f"{number(match[1])}{'华氏度' if match[2] == 'F' else '摄氏度' if match[2] else '度'}"


def _counted(match: Match) -> str:
    return "两" if match[0] == "2" else number(match[0])


_START = r"(?<![A-Za-z0-9.,])"

RULES = (
    rule(r"</?[A-Za-z][^<>]{0,80}>", " "),
    rule(r"(?<=\d)\s+(?=\d)", "，"),  # numbers that stand apart are separate
    rule(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z])", "点"),
    # numbers of telephones
    rule(r"(?<!\d)1[3-9]\d{9}(?!\d)|(?<!\d)0\d{2,3}-\d{7,8}(?!\d)|(?<!\d)400-\d{3}-\d{4}(?!\d)",
         lambda match: spell(match[0].replace("-", "")).replace("一", "幺")),
    rule(rf"{_START}(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}})(?![\d/.-])", _date),
    rule(r"(?<!\d)(\d{4})(?=年)", lambda match: spell(match[1])),
    rule(r"(?<!\d)(\d{2})(?=(年代|后))", lambda match: cardinal(match[1]) if match[2] == "年代" else spell(match[1])),
    rule(rf"{_START}(\d{{1,2}})[:：](\d\d)(?:[:：](\d\d))?(?!\d)", _time),
    rule(rf"([{''.join(_MONEY)}])\s?({_NUMBER})({_SCALES})(?:元)?",
         lambda match: f"{number(match[2].removesuffix('.00'))}{match[3]}{_MONEY[match[1]]}"),
    rule(rf"{_START}-(?={_NUMBER})", "负"),
    rule(rf"{_START}({_NUMBER})[%％]?\s?[~–-]\s?({_NUMBER})\s?[%％]",
         lambda match: f"百分之{number(match[1])}到{number(match[2])}"),
    rule(rf"{_START}({_NUMBER})\s?[~–-]\s?(?={_NUMBER})", lambda match: f"{number(match[1])}到"),
    rule(rf"{_START}({_NUMBER})\s?[%％]", lambda match: f"百分之{number(match[1])}"),
    rule(rf"{_START}({_NUMBER})\s?‰", lambda match: f"千分之{number(match[1])}"),
    rule(rf"{_START}({_NUMBER})\s?(?:°\s?([CF])|°)", _degrees),
    rule(r"(?<=[点分秒度])\s?[~–-]\s?(?=[\d零一二三四五六七八九十两负])", "到"),
    rule(r"(?<!\d)(\d{1,3})[:：](\d{1,3})(?!\d)", lambda match: f"{cardinal(match[1])}比{cardinal(match[2])}"),
    rule(r"(?<![\d/])(\d{1,6})/(\d{1,6})(?![\d/])",
         lambda match: f"{cardinal(match[2])}分之{cardinal(match[1])}"),
    rule(rf"{_START}({_NUMBER})\s?({one_of(_UNITS)})(?![A-Za-z^/])", lambda match: number(match[1]) + _UNITS[match[2]]),
    rule(rf"(?<![第\d.,])2(?=\s?{_MEASURES})(?!月)", _counted),
    rule(_NUMBER, lambda match: number(match[0])),
    rule(one_of(_SIGNS), lambda match: _SIGNS[match[0]]),
)  # fmt: skip


def speak(text: str) -> str:
    """Return a folded line of Chinese with numbers and signs in words."""
    return apply(RULES, text)
