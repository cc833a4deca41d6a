"""Error messages of the page: the service supplies the problem and its reason, this module the remedy."""

from __future__ import annotations

import html

from service.errors import DrainingError, ServiceError

_REMEDIES = {
    "text_too_long": "Shorten it, or split it into the lines of a batch.",
    "empty_text": "Type at least one letter or digit.",
    "unspeakable_text": "Remove these characters, or write them out in words.",
    "out_of_range": "Move the slider back into its range.",
    "no_such_voice": "Choose a voice from the list. If the list is outdated, reload this page.",
    "not_audio": "Choose a wav, flac, ogg, aiff or mp3 file with a voice, or record again.",
    "bad_prompt_length": "Trim it, or record again.",
    "missing": "Type what the recording says.",
    "deadline_exceeded": "Try a shorter text, or try again later.",
    "engine_failed": "Try again. If this happens again, contact the operator of this service.",
}
_DRAINING = "The service is being updated. Press the button again."  # the error's own message addresses programs


def describe(error: ServiceError) -> str:
    """Return the problem, its reason and the remedy as HTML text."""
    if error.code == DrainingError.code:
        return _DRAINING
    if error.code in _REMEDIES:
        remedy = _REMEDIES[error.code]
    elif error.retry_after:
        remedy = f"Try again in {error.retry_after} s."
    else:
        remedy = "Try again."
    return html.escape(f"{error.message[0].upper()}{error.message[1:]}. {remedy}", quote=False)


def alert(error: ServiceError) -> str:
    """Return the error as a note that stays until the next press and that a screen reader announces at once."""
    return f'<div role="alert"><p>{describe(error)}</p></div>'
