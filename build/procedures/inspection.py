"""What is known about an image: its labels, its build's record, what was found in it."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from build.decisions.names import OCI
from build.decisions.verification import Report as Findings
from build.drivers.engine import Engine
from build.errors import ImageNotFoundError
from build.procedures import records
from build.procedures.report import Report
from build.procedures.resolve import resolve
from build.settings import Settings

STYLES = {"passed": "green", "failed": "bold red", "not verified": "yellow"}


def table(reports: list[Findings]) -> Table:
    """The lines of verification reports, for a reader."""
    shown = Table(box=None, pad_edge=False)
    for heading in ("part", "line", "outcome", "detail"):
        shown.add_column(heading)
    for report in reports:
        for line in report.lines:
            outcome = f"[{STYLES[line.outcome]}]{line.outcome}[/]"
            shown.add_row(report.part, line.name, outcome, line.detail.replace("[", r"\["))
    return shown


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
