"""Request paths of the health checks and of the page."""

from __future__ import annotations

HEALTH = ("/livez", "/readyz", "/metrics", "/health")

# Gradio's own routes, without those that this page does not need: proxying, monitoring, screen recording.
_PATHS = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
_PREFIXES = ("/assets/", "/static/", "/svelte/", "/gradio_api/")
_CLOSED = ("/gradio_api/proxy", "/gradio_api/monitoring", "/gradio_api/run", "/gradio_api/process_recording")


def belongs_to_page(path: str) -> bool:
    """Return whether the page serves this path."""
    return path in _PATHS or (path.startswith(_PREFIXES) and not path.startswith(_CLOSED))
