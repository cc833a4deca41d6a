"""An image under the reference that it is known by, and the stand-ins that it is built on."""

from __future__ import annotations

from dataclasses import dataclass

from docker.models.images import Image

from build.model.labels import STANDIN_LABEL


@dataclass(frozen=True)
class Named:
    """An image under the reference that it is known by here."""

    reference: str
    image: Image


def standins_of(image: Image) -> tuple[str, ...]:
    """What an image stands on instead of the genuine thing: os, cuda, conda."""
    return tuple(name for name in image.labels.get(STANDIN_LABEL, "").split(",") if name)
