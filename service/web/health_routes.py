"""The health routes: /livez, /readyz, /health, /metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.metrics.metrics import Metrics

READY_KEYS = ("phase", "release", "engine", "device", "last_inference_age_s", "epoch")


def health_routes(status: Callable[[], dict[str, Any]], metrics: Metrics) -> APIRouter:
    """Return the health routes; `status` returns the control socket's status."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", response_class=PlainTextResponse)
    async def livez() -> Response:
        """Liveness: 200 while the process responds."""
        return PlainTextResponse("alive\n")

    @router.get("/readyz", responses={503: {"description": "Not ready; the body names the phase."}})
    async def readyz() -> Response:
        """Readiness: 200 in phase `ready`, also under load; 503 in any other phase."""
        now = status()
        return JSONResponse({key: now[key] for key in READY_KEYS}, 200 if now["phase"] == "ready" else 503)

    @router.get("/health", responses={503: {"description": "Not ready; the body names the phase."}})
    async def health() -> Response:
        """Readiness for clients: the state alone, also through the proxy."""
        phase = status()["phase"]
        ready = phase == "ready"
        return JSONResponse({"status": "ok" if ready else phase}, 200 if ready else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def scrape() -> Response:
        """Prometheus metrics."""
        return Response(await metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return router
