"""An image with its reference, and the stand-ins that it is built on."""

from __future__ import annotations

from dataclasses import dataclass

from docker.models.images import Image

from build.model.labels import STANDIN_LABEL


@dataclass(frozen=True)
class TaggedImage:
    """An image and the reference that this engine knows it by."""

    reference: str
    image: Image


def standins_of(image: Image) -> tuple[str, ...]:
    """Kinds of stand-ins that an image is built on: os, cuda, conda."""
    return tuple(name for name in image.labels.get(STANDIN_LABEL, "").split(",") if name)
