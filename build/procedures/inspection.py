"""What is known about an image: its labels, what it is known as, the record of its build."""

from __future__ import annotations

from typing import Any

from build.decisions.names import OCI
from build.drivers.engine import Engine
from build.errors import ImageNotFoundError
from build.procedures import records
from build.procedures.report import Report
from build.procedures.resolve import resolve
from build.settings import Settings


def inspect(settings: Settings, engine: Engine, report: Report, reference: str) -> dict[str, Any]:
    """Labels of a release's image without their common prefixes, what it is known as, and its record or None.

    Raises:
        ImageNotFoundError: there is no such image, or it is none of this project's.
    """
    release = resolve(settings, engine, report, reference)
    image = engine.image(release.image)
    if image is None:
        raise ImageNotFoundError(f"{release.image} has gone from the engine", remedy="pull or build it again")
    labels = {
        name.removeprefix(OCI).removeprefix("ai.glm-tts."): value
        for name, value in sorted(image.labels.items())
        if name.startswith((OCI, "ai.glm-tts."))
    }
    known = [record for record in records.read(settings.root) if record.image_id == image.id]
    return {
        "image": image.id,
        "names": [*image.tags, *(image.attrs.get("RepoDigests") or [])],
        "size_bytes": int(image.attrs["Size"]),
        "labels": labels,
        "record": known[-1].model_dump(mode="json") if known else None,
    }
