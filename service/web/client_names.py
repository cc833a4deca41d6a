"""The voices and models of the engine by the names that clients send."""

from __future__ import annotations

from service import openai_names
from service.errors import InvalidError
from service.fields import quote
from service.settings import Settings
from service.synthesis.speech import Speech


class ClientNames:
    """Maps names of other services: a voice by TTS_VOICE_NAMES, a model by TTS_MODEL_NAMES."""

    def __init__(self, speech: Speech, settings: Settings) -> None:
        self._speech = speech
        self.voices = dict.fromkeys(openai_names.VOICES) | settings.voice_names
        self.models = settings.model_names

    def voice(self, name: str | None) -> str | None:
        """Return the ID of the voice that a client names; None: the first voice."""
        known = [voice.id for voice in self._speech.voices]
        if name is None or name in known or name not in self.voices:
            return name
        selected = self.voices[name]
        if selected is not None and selected not in known:
            message = (
                f"voice {quote(name)} selects voice {quote(selected)}, which does not exist; send an ID from "
                "/v1/audio/voices, or correct TTS_VOICE_NAMES"
            )
            raise InvalidError(message, code="no_such_voice", param="voice")
        return selected

    def is_model(self, name: str) -> bool:
        """Return whether the name selects the loaded model."""
        return name == self._speech.engine.describe().model or openai_names.selects(name, self.models)

    def check_model(self, name: str | None) -> None:
        """Raise InvalidError unless the name selects the loaded model; None does."""
        if name is None or self.is_model(name):
            return
        names = ", ".join((self._speech.engine.describe().model, *self.models))
        message = f"model {quote(name)} does not exist; models are {names}"
        raise InvalidError(message, code="no_such_model", param="model")
