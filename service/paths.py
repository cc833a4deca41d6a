"""Paths of requests: those of health checks, and those that the page is made of."""

from __future__ import annotations

HEALTH = ("/livez", "/readyz", "/metrics")

# Gradio's own routes, without those that this page does not need: proxying, monitoring, recording screens.
_PATHS = ("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/robots.txt")
_PREFIXES = ("/assets/", "/static/", "/svelte/", "/gradio_api/")
_CLOSED = ("/gradio_api/proxy", "/gradio_api/monitoring", "/gradio_api/run", "/gradio_api/process_recording")


def belongs_to_page(path: str) -> bool:
    """Is this one of the paths that the page is made of?"""
    return path in _PATHS or (path.startswith(_PREFIXES) and not path.startswith(_CLOSED))
