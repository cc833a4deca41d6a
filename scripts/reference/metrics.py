"""Page of the service's metrics, from the collectors that /metrics uses."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from scripts.reference.markdown import code, codes, fill, table
from service.hardware.gpu import Device, GpuReadings
from service.metrics.metrics import Metrics, Refusal
from service.synthesis.fair_queue import Priority
from service.synthesis.in_flight import Class, Outcome
from service.synthesis.lifecycle import Phase

# prometheus_client's name of a counter or an info lacks the suffix that the exposition adds.
_SUFFIXES = {"counter": "_total", "info": "_info"}
_GPU = GpuReadings([Device("GPU-0", "GPU", 1, 1, 0.0, 1, 1.0)], whole=True)
_VALUES = {
    "class": (Class, "class of a request, as in [draining by class](../decisions/0010-drain-classes.md)"),
    "outcome": (Outcome, "end of a request; a load of the engine ends in `success` or `failure`"),
    "reason": (Refusal, "why speech was rejected"),
    "priority": (Priority, "`people` for every request that is not batch"),
    "phase": (Phase, "phase of the control socket's status; only `ready` accepts requests"),
}


def page() -> str:
    """Return the page."""
    metrics = ((code(name), kind, codes(labels), meaning) for name, kind, labels, meaning in _families())
    values = ((code(label), codes(kind), meaning) for label, (kind, meaning) in _VALUES.items())
    return fill(
        "metrics.md.in",
        metrics=table(("name", "type", "labels", "meaning"), metrics),
        values=table(("label", "values", "meaning"), values),
    )


def _families() -> Iterator[tuple[str, str, tuple[str, ...], str]]:
    """Yield name, type, labels and meaning of each metric of a service with a loaded model and a GPU."""
    metrics = Metrics()
    metrics.memory.ready()
    metrics.gpus._readings = _GPU
    labels = {name: names for collector in vars(metrics).values() for name, names in _labels(collector)}
    for family in metrics.registry.collect():
        names = labels.get(family.name) or _used(family)
        kind = "gauge" if family.type == "info" else family.type
        yield family.name + _SUFFIXES.get(family.type, ""), kind, tuple(sorted(names)), family.documentation


def _labels(collector: object) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and label names of a counter, gauge or histogram; nothing for other objects."""
    if hasattr(collector, "_labelnames") and hasattr(collector, "describe"):  # prometheus_client has no public name
        for family in collector.describe():
            yield family.name, collector._labelnames


def _used(family: Metric) -> set[str]:
    """Return the label names of the samples: a family of a custom collector has them all."""
    return {name for sample in family.samples for name in sample.labels} - {"le"}
