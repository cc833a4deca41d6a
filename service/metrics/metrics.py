"""Metrics by Prometheus conventions; docs/reference/metrics.md lists them.

One registry per service, because tests create several. Durations are in seconds. Labels have few values, all known in
advance except routes, which are templates.
"""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from service.metrics.collectors import Gpus, Memory
from service.telemetry.record import RequestRecord, Step

# They double the number of series, and Prometheus ignores them in this format.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library lacks a return type

_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160)
_SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STALLS = (0.0, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40)
_FACTORS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 5, 10)


DROPPED = ("emoji", "symbol", "mark", "markup")
"""Kinds of what the front end leaves out of a text."""


class Refusal(StrEnum):
    """Why the service rejected a synthesis that it would accept at another time."""

    QUEUE_FULL = "queue_full"
    BATCH = "batch"
    DEADLINE = "deadline"
    RATE_LIMIT = "rate_limit"
    NOT_READY = "not_ready"


class Metrics:
    """All metrics of the service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.build = self._gauge(
            "tts_build_info", "Release, engine and version, as labels; always 1", "release", "engine", "version"
        )
        self._of_requests()
        self._of_speech()
        self._of_engine()
        self.memory = Memory()
        self.gpus = Gpus()
        ProcessCollector(registry=self.registry)
        self.registry.register(self.memory)
        self.registry.register(self.gpus)

    def _of_requests(self) -> None:
        # Only these two have the release as a label; the others are joined with tts_build_info. A slot keeps its
        # address across releases, and at that moment a join would assign the whole rate to the new release.
        self.requests = self._counter(
            "tts_requests",
            "HTTP requests that ended, without health checks; 499: the client disconnected",
            "route",
            "status",
            "release",
        )
        self.request_seconds = self._histogram(
            "tts_request_duration_seconds",
            "Duration of HTTP requests, without event streams",
            _SECONDS,
            "route",
            "release",
        )
        self.class_requests = self._counter(
            "tts_class_requests",
            "Requests and syntheses of web tabs that ended; cut: aborted by a drain",
            "class",
            "outcome",
        )
        self.class_in_flight = self._gauge(
            "tts_class_in_flight", "Requests and syntheses of web tabs in flight", "class"
        )
        self.rejected = self._counter("tts_rejected", "Syntheses rejected for a temporary reason", "reason")
        for reason in Refusal:
            self.rejected.labels(reason)
        self.errors = self._counter(
            "tts_errors", "Requests and syntheses of web tabs that ended with an error, by its code", "code"
        )

    def _of_speech(self) -> None:
        self.queue_depth = self._gauge("tts_queue_depth", "Accepted syntheses that have not started", "priority")
        self.queue_capacity = self._gauge(
            "tts_queue_capacity", "Maximum number of waiting syntheses; one more is rejected", "priority"
        )
        self.jobs = self._gauge("tts_jobs", "Syntheses accepted and not finished")
        self.abandoned = self._counter("tts_abandoned", "Syntheses dropped after a disconnect or an abort")
        self.queue_wait_seconds = self._histogram(
            "tts_queue_wait_seconds", "Time from acceptance to the first inference", _SECONDS, "priority"
        )
        self.first_audio_seconds = self._histogram(
            "tts_time_to_first_audio_seconds",
            "Time from acceptance to the first piece of audio, streamed or not",
            _SECONDS,
            "priority",
        )
        self.stall_seconds = self._histogram(
            "tts_stream_stall_seconds",
            "Silence before a piece of audio, for a listener who plays each piece at once; 0: it came in time",
            _STALLS,
            "priority",
        )
        self.inference_seconds = self._histogram(
            "tts_inference_duration_seconds", "Duration of one inference, about a sentence", _SECONDS
        )
        self.encode_seconds = self._histogram(
            "tts_encode_duration_seconds", "Time to encode the audio of one request", _SHORT_SECONDS, "format"
        )
        self.real_time_factor = self._histogram(
            "tts_real_time_factor_ratio", "Inference time per second of audio, per synthesis", _FACTORS
        )
        self.text_dropped = self._counter(
            "tts_text_dropped", "Characters and elements of texts that were left out, by kind", "kind"
        )
        for kind in DROPPED:
            self.text_dropped.labels(kind)
        self.audio_seconds = self._counter("tts_audio_seconds", "Duration of the synthesized audio")

    def _of_engine(self) -> None:
        self.loop_lag = self._histogram(
            "tts_event_loop_lag_seconds",
            "Delay of a timer of the event loop, that is of every other request",
            _SHORT_SECONDS,
        )
        self.ready = self._gauge("tts_ready", "1 if the service accepts requests")
        self.phase = self._gauge("tts_phase", "1 for the current phase of the service", "phase")
        self.loads = self._counter(
            "tts_engine_loads", "Loads that ended: model, web page and test inference", "outcome"
        )
        for succeeded in (True, False):
            self.loads.labels(_outcome(succeeded))
        self.load_seconds = self._gauge("tts_engine_load_duration_seconds", "Duration of the last load")
        self.device = self._gauge(
            "tts_device_info",
            "Device of the loaded engine, as a label; always 1. Absent without a model",
            "device",
        )
        self.out_of_memory = self._counter(
            "tts_engine_out_of_memory", "Loads and inferences that ran out of memory, on the host or a GPU"
        )
        self.last_success = self._gauge(
            "tts_last_success_timestamp_seconds", "Unix time of the last inference with audible speech; 0: none yet"
        )

    def load_ended(self, *, succeeded: bool, took_s: float) -> None:
        """Record the end of a load of the engine; a successful one has also synthesized a test text."""
        self.loads.labels(_outcome(succeeded)).inc()
        self.load_seconds.set(took_s)
        if succeeded:
            self.memory.ready()
            self.last_success.set_to_current_time()

    def request_ended(self, record: RequestRecord) -> None:
        """Count what the record of an ended request says."""
        if record.error_code:
            self.errors.labels(record.error_code).inc()
        encoded_s = record.seconds(Step.ENCODE)
        if encoded_s is not None:
            self.encode_seconds.labels(record.format).observe(encoded_s)

    async def render(self) -> bytes:
        """Return the exposition text, with the current state of the GPUs and the process."""
        await self.gpus.refresh()
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self.registry)


def _outcome(succeeded: bool) -> str:
    return "success" if succeeded else "failure"
