"""Wiring of the service: `Service` creates the parts, and the server runs its `asgi`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from service import VERSION, engines, page
from service.access.guard import Guard
from service.engine import Engine
from service.errors import ServiceError, on_http_error, on_service_error, on_unexpected
from service.keys import Keys
from service.metrics.metrics import Metrics
from service.page.status_tab import status_routes
from service.settings import Settings
from service.synthesis.in_flight import InFlight
from service.synthesis.lifecycle import Lifecycle
from service.synthesis.scheduler import Scheduler
from service.synthesis.speech import Speech
from service.threads import abandonable
from service.web import openapi
from service.web.api_paths import ApiPaths
from service.web.body_limit import BodyLimit
from service.web.cors import Cors
from service.web.docs_page import docs_routes
from service.web.health_routes import health_routes
from service.web.list_routes import list_routes
from service.web.page_router import PageRouter
from service.web.patience import Patience
from service.web.predict_route import predict_routes
from service.web.request_context import RequestContext
from service.web.speech_routes import speech_routes

if TYPE_CHECKING:
    from service.telemetry.spans import Spans

logger = logging.getLogger(__name__)


class Service:
    """All parts of one service process.

    Create it inside a running event loop. Tests pass their own engine. Raise KeysError if an API key file is configured
    but unusable.
    """

    def __init__(self, settings: Settings, engine: Engine | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.traffic = InFlight(self.metrics, settings.long_bytes)
        self.engine = engine or engines.create(settings)
        about = self.engine.describe()
        self.metrics.build.labels(settings.release, about.engine, VERSION).set(1)
        self.lifecycle = Lifecycle(self.engine, self.metrics)
        self.scheduler = Scheduler(
            about.concurrency, settings.queue, settings.deadline_s, self.metrics, self.lifecycle.report_broken,
            about.characters_per_s,
        )  # fmt: skip
        self.speech = Speech(self.engine, self.lifecycle, self.scheduler, self.metrics, settings.max_chars)
        self.front = PageRouter(self._api())
        keys = Keys(settings.api_keys, settings.client_limits) if settings.api_keys else None
        self.spans = _spans(settings)
        limited = BodyLimit(Patience(self.front), settings.max_chars, lambda: self.engine.describe().prompts)
        shared = Cors(Guard(limited, settings, keys, self.metrics), settings.cors_origins)
        self.asgi: ASGIApp = ApiPaths(RequestContext(shared, settings.release, self.traffic, self.metrics, self.spans))
        self.epoch = 0  # the newest of the control commands and orders
        self._page_life = contextlib.AsyncExitStack()

    def _api(self) -> FastAPI:
        app = FastAPI(
            title="Speech service",
            version=self.settings.release,
            docs_url=None,  # FastAPI's docs pages load scripts from the internet; web.docs_page does not
            redoc_url=None,
            redirect_slashes=False,
        )
        app.include_router(speech_routes(self.speech, self.settings))
        app.include_router(list_routes(self.speech, self.settings))
        app.include_router(predict_routes(self.speech, self.settings.voices))
        app.include_router(health_routes(self.status, self.metrics))
        app.include_router(status_routes(self.status, self.scheduler, self.metrics))
        app.include_router(docs_routes(app))
        app.openapi = functools.partial(openapi.describe, app, keys=self.settings.api_keys is not None)  # type: ignore[method-assign]
        app.add_exception_handler(ServiceError, on_service_error)
        app.add_exception_handler(HTTPException, on_http_error)
        app.add_exception_handler(Exception, on_unexpected)
        app.openapi()  # now: it takes tens of milliseconds
        return app

    async def start(self) -> None:
        """Load the model and build the web page in parallel; the service is ready once both are done.

        If parked, do everything but load the model, and wait for the command `load`: another process still holds the
        memory.
        """
        page_opened = asyncio.create_task(self._open_page())
        try:
            if self.settings.parked:
                await self.lifecycle.park(beside=page_opened)
            else:
                await self.lifecycle.load(beside=page_opened)
        finally:
            page_opened.cancel()

    async def _open_page(self) -> None:
        """Import Gradio (seconds of CPU) in a thread, then mount the page."""
        app = await abandonable(page.build, self.speech, self.traffic)
        await self._page_life.enter_async_context(app.router.lifespan_context(app))
        self.front.page = app

    async def close(self) -> None:
        """Release all resources after the server has stopped."""
        await self._page_life.aclose()
        if self.spans:
            await self.spans.close()
        self.scheduler.close()
        if not (self.scheduler.stuck or self.lifecycle.busy):
            self.lifecycle.thaw()
            try:
                await asyncio.to_thread(self.engine.unload)
            except Exception:  # the process exits, which releases the rest
                logger.exception("the engine failed to release its memory")

    def status(self) -> dict[str, Any]:
        """Return the status fields that the control socket reports."""
        about = self.engine.describe()
        last, oldest = self.scheduler.last_success, self.traffic.oldest_s
        return {
            "phase": self.lifecycle.phase,
            "progress": self.lifecycle.progress,
            "release": self.settings.release,
            "engine": about.engine,
            "device": about.device,
            "sample_rate": self.engine.sample_rate if about.device else None,
            "requests": self.traffic.requests,
            "oldest_s": None if oldest is None else round(oldest, 3),
            "streams": self.traffic.streams,
            "classes": self.traffic.by_class(),
            "jobs": self.scheduler.jobs,
            "completed": self.scheduler.completed,
            "last_inference_age_s": None if last is None else round(time.monotonic() - last, 3),
            "error": self.lifecycle.error,
            "epoch": self.epoch,
        }


def _spans(settings: Settings) -> Spans | None:
    """Return the exporter of traces if an endpoint is set; otherwise OpenTelemetry is not even imported."""
    if not settings.traces_endpoint:
        return None
    from service.telemetry.spans import Spans  # noqa: PLC0415 - takes half a second, and most services have no traces

    return Spans(settings.traces_endpoint, settings.release)
