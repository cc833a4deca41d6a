"""Page of the image labels."""

from __future__ import annotations

from collections.abc import Mapping

from build.model import labels
from scripts.reference.markdown import code, fill, table


def page() -> str:
    """Return the page."""
    return fill(
        "image-labels.md.in",
        app=_labels(labels.APP_LABELS),
        base=_labels(labels.BASE_LABELS),
        optional=_labels(labels.OPTIONAL_LABELS),
    )


def _labels(meanings: Mapping[str, str]) -> str:
    return table(("label", "value"), ((code(name), meaning) for name, meaning in meanings.items()))
