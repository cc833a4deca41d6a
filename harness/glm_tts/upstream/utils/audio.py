"""Caches that outlive a model and do not record their sample rate, as upstream's."""

from typing import Any

mel_basis: dict[str, Any] = {}
hann_window: dict[str, Any] = {}
