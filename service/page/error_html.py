"""Error messages of the page: the service supplies the problem and its reason, this module the remedy."""

from __future__ import annotations

import html
import itertools

from service.errors import DrainingError, ServiceError
from service.page.chinese import PROBLEMS
from service.page.language import Language, Translator

_REMEDIES = {
    "text_too_long": "Shorten it, or split it into the lines of a batch.",
    "empty_text": "Type at least one letter or digit.",
    "unspeakable_text": "Remove these characters, or write them out in words.",
    "out_of_range": "Move the slider back into its range.",
    "no_such_voice": "Choose a voice from the list. If the list is outdated, reload this page.",
    "not_audio": "Choose another file with a voice, or record again.",
    "bad_prompt_length": "Trim it, or record again.",
    "missing": "Type what the recording says.",
    "deadline_exceeded": "Try a shorter text, or try again later.",
    "engine_failed": "Try again. If this happens again, contact the operator of this service.",
}
_DRAINING = "The service is being updated. Press the button again."  # the error's own message addresses programs

# Which control an error concerns, by the `param` of the error.
_CONTROLS = {
    "the text": "#text textarea",
    "voice": "#voice input",
    "speed": "#speed input[type=number]",
    "the recording": "#prompt button",
    "the transcript": "#transcript textarea",
}

_number = itertools.count()


def describe(error: ServiceError, say: Translator) -> str:
    """Return the problem, its reason and the remedy as HTML text."""
    if error.code == DrainingError.code:
        return say(_DRAINING)
    problem = html.escape(f"{error.message[0].upper()}{error.message[1:]}.", quote=False)
    remedy = _remedy(error, say)
    if say.language is Language.CHINESE:
        return f'{PROBLEMS.get(error.code, "")}{remedy}<br><span lang="en">{problem}</span>'
    return f"{problem} {remedy}"


def _remedy(error: ServiceError, say: Translator) -> str:
    if error.code in _REMEDIES:
        return say(_REMEDIES[error.code])
    if error.retry_after:
        return say("Try again in {seconds} s.", seconds=error.retry_after)
    return say("Try again.")


def alert(error: ServiceError, say: Translator) -> str:
    """Return the error as a note; see alert_html."""
    return alert_html(f"<p>{describe(error, say)}</p>", _CONTROLS.get(error.param or "", ""))


def alert_html(content: str, control: str = "") -> str:
    """Return HTML as a note that stays until the next press and that a screen reader announces at once.

    `control` is the CSS selector of the control to correct: the page moves the focus there. The number makes the page
    announce the same error again.
    """
    return f'<div role="alert" data-control="{html.escape(control)}" data-number="{next(_number)}">{content}</div>'
