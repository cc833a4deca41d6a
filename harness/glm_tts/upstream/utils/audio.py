"""Caches that outlive a model and forget for which sample rate they were made, as upstream's do."""

from typing import Any

mel_basis: dict[str, Any] = {}
hann_window: dict[str, Any] = {}
