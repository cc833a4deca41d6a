"""What is measured, by Prometheus conventions. One registry per service, so that tests can have several."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160)


class Metrics:
    """All metrics of the service. Times in seconds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "tts_requests", "HTTP requests answered; 499: the client left", ["route", "status"], registry=self.registry
        )
        self.request_seconds = self._histogram("tts_request_seconds", "Time to answer, event streams aside", ["route"])
        self.class_requests = Counter(
            "tts_class_requests",
            "Requests ended, by class and outcome; cut: by a drain",
            ["class", "outcome"],
            registry=self.registry,
        )
        self.class_in_flight = Gauge(
            "tts_class_in_flight", "Requests in flight, by class", ["class"], registry=self.registry
        )
        self.queue_depth = self._gauge("tts_queue_depth", "Accepted syntheses that have not started")
        self.jobs = self._gauge("tts_jobs", "Syntheses accepted and not finished")
        self.queue_wait_seconds = self._histogram("tts_queue_wait_seconds", "From acceptance to the first inference")
        self.inference_seconds = self._histogram("tts_inference_seconds", "One inference, about a sentence")
        self.audio_seconds = Counter("tts_audio_seconds", "Audio synthesised", registry=self.registry)
        self.abandoned = Counter(
            "tts_abandoned", "Syntheses dropped: their client left, or a cut", registry=self.registry
        )
        self.ready = self._gauge("tts_ready", "1 when speech is accepted")
        self.phase = Gauge("tts_phase", "1 for the phase the service is in", ["phase"], registry=self.registry)
        self.build = Gauge("tts_build_info", "What runs", ["release", "engine"], registry=self.registry)

    def _histogram(self, name: str, help_text: str, labels: list[str] | None = None) -> Histogram:
        return Histogram(name, help_text, labels or [], buckets=_SECONDS, registry=self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(name, help_text, registry=self.registry)

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
