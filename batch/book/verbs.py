"""Verbs of speech in English and Chinese."""

from __future__ import annotations

import re

_REGULAR = """
    accost add address admit admonish advise agree announce answer apologise apologize argue ask assent assert
    assure bawl beg bellow bleat blurt boast breathe call caution chuckle coax command comment complain concede
    conclude confess confide confirm congratulate continue correct counsel croak cry declare demand deny drawl echo
    ejaculate enjoin enquire entreat exclaim explain falter finish gasp giggle groan growl grumble grunt gurgle
    hazard hiss hint holler howl implore inform inquire insist interject interpose interrogate interrupt intervene
    intone invite jeer jest joke lament laugh lecture lie marvel mimic mock moan mumble murmur mutter muse object
    observe offer opine order persist plead ponder pray press proceed proclaim promise pronounce propose protest
    purr pursue query question quote rasp reassure reason recall reckon recommend recite reflect rejoin relate
    remark remind remonstrate repeat reply report reprove request respond resume retort return roar scoff scold
    scream screech shout shriek sigh smile snap snarl sneer snort sob soothe splutter sputter squeak squeal stammer
    start state stipulate stutter suggest supplement supply surmise swear taunt tease thunder urge utter venture
    vociferate volunteer vow wail warn whimper whine whisper whistle wonder yell yelp
"""
_IRREGULAR = """
    say says said saying ask tell tells told telling thinks thought thinking began begins beginning speaks spoke
    speaking swore sang
"""
_PHRASES = (
    r"(?:go(?:es|ing)?|went)\s+on",
    r"(?:put|puts|broke|chimed|cut|struck|threw)\s+in",
    r"(?:broke|burst|jerked|flung|came)\s+out",
)


def _forms(verb: str) -> str:
    """Return the pattern of a regular verb's forms, such as begs, begged, begging; the bare verb may be a noun."""
    if verb.endswith("e"):
        return f"{verb[:-1]}(?:es|ed|ing)"
    if verb.endswith("y") and verb[-2] not in "aeo":
        return f"{verb[:-1]}(?:ies|ied|ying)"
    return f"{verb}(?:{verb[-1]}?(?:ed|ing)|e?s)"


ENGLISH = re.compile(
    rf"(?<![\w'’-])(?:{'|'.join([*_PHRASES, *_IRREGULAR.split(), *map(_forms, _REGULAR.split())])})"
    r"(?![\w'’]|-\w)(?!\s+(?:nothing|no\s+more|not\s+a\s+word|the\s+truth))",
    re.IGNORECASE,
)
CHINESE = re.compile(
    r"(?:回答|回应|回應|开口|開口|补充|補充|解释|解釋|嘀咕|低语|低語|呢喃|喃喃|嘟囔|嘟哝|惊呼|驚呼|感叹|感嘆|命令|吩咐|提醒|自语|自語"
    r"|嗫嚅|嘱咐|囑咐|央求|哀求|恳求|安慰|警告|反驳|反駁|插嘴|插话|打断|打斷|宣布|承认|承認|吼叫|喊叫|嘲笑|抱怨|埋怨|责备|責備|建议|建議"
    r"|重复|重複|念叨|追问|追問|招呼|搭话|发问|發問|吱唔|支吾|嚷嚷|表态|介绍|乞求)"
    r"|(?<![小不没一话])(?<!没有)[说說](?!不|服|明|话|話)|(?<![知味街难地频渠管])道(?!路|理|歉|具|士|长)"
    r"|[喊嚷吼骂罵叹嘆劝勸讲講](?!话|話)|叫(?!做|作)|(?<![疑学访])[问問](?!题|題)|(?<![报回])答(?!案|应)|[应應](?=[了道声聲])"
)
