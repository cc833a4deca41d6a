"""The characters file: the voice of each character, and the names that a book uses for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from batch import yamlfile
from batch.errors import BookError
from service.fields import quote

Gender = Literal["female", "male"]


class Voice(BaseModel):
    """A voice of the service, or a recording with its transcript."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: str = ""
    prompt_audio: str = ""
    prompt_text: str = ""

    @model_validator(mode="after")
    def _prompt_is_complete(self) -> Voice:
        if self.prompt_text and not self.prompt_audio:
            raise ValueError("prompt_text is given without prompt_audio")
        return self


class Character(Voice):
    """A character. If the book calls them `I` or 我, the aliases include that."""

    name: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()
    gender: Gender | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (self.name, *self.aliases)


class Characters(BaseModel):
    """The whole file. `unknown` is the voice of unattributed speech; by default the narrator's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    narrator: Voice = Voice()
    unknown: Voice | None = None
    characters: tuple[Character, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Characters:
        names = [name.casefold() for character in self.characters for name in character.names]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"more than one character is called {', '.join(duplicates)}")
        if not all(name.strip() for name in names):
            raise ValueError("a name is empty")
        return self


def read(path: Path) -> Characters:
    """Read a characters file; raise BookError with all problems."""
    remedy = "docs/guides/batch.md shows a characters file"
    try:
        return Characters.model_validate(yamlfile.load(path) or {})
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise BookError(f"{path}: {problems}", remedy) from None
    except ValueError as error:
        raise BookError(str(error), remedy) from None


def _describe(problem: Any) -> str:
    where = ".".join(map(str, problem["loc"]))
    what = problem["msg"].removeprefix("Value error, ")
    value = f" is {quote(problem['input'])}:" if isinstance(problem["input"], str | int) else ":" if where else ""
    return f"{where}{value} {what[0].lower()}{what[1:]}".strip()
