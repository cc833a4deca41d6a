"""Error messages of the page: the service supplies the problem and its reason, this module the remedy."""

from __future__ import annotations

import html

from service.errors import ServiceError

_REMEDIES = {
    "text_too_long": "Shorten it, or make a batch of its parts.",
    "empty_text": "Type something with a letter or a digit in it.",
    "unspeakable_text": "Take these characters out, or spell in words what they mean.",
    "out_of_range": "Move the slider back into its range.",
    "no_such_voice": "Choose one of the list; reload this page if the list is old.",
    "not_audio": "Choose a wav, flac or mp3 file, or record again.",
    "bad_prompt_length": "Cut it to length, or record again.",
    "draining": "Press the button again: the new release answers.",
    "deadline_exceeded": "Try a shorter text, or try again when fewer are waiting.",
    "engine_failed": "Try again; if it happens again, tell whoever runs this service.",
}


def told(error: ServiceError) -> str:
    """Return the problem, its reason and the remedy as HTML text."""
    if error.code in _REMEDIES:
        remedy = _REMEDIES[error.code]
    elif error.retry_after:
        remedy = f"Try again in {error.retry_after} s."
    else:
        remedy = "Try again."
    return html.escape(f"{error.message[0].upper()}{error.message[1:]}. {remedy}", quote=False)


def alert(error: ServiceError) -> str:
    """Return the error as a note that stays until the next press and that a screen reader announces at once."""
    return f'<div role="alert"><p>{told(error)}</p></div>'
