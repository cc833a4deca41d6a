"""The content of a cutover's report and its HTML. The template escapes all values, since they come from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

from build.report import plot
from build.report.plot import Plot
from build.report.timeline import Span
from build.state.history import Cutover
from build.target.gpu import gib

# Facts with a section of their own.
SHOWN = frozenset({"gate", "warnings", "drain", "canary", "failed_share", "soak"})
MEMORY = ("vram", "gpu", "memory")
UNITS = ("s", "ms")
NOTHING: tuple[object, ...] = (None, "", [], {})


@dataclass(frozen=True)
class GateRecordings:
    """One text of the gate: both releases' recordings as data URIs ("" if missing)."""

    name: str
    text: str
    candidate: str
    live: str


@dataclass(frozen=True)
class Page:
    """Content of a report. Empty parts are omitted; the page says so where a reader would look for them.

    Attributes:
        error: the cutover's error; `detail` its log lines or table, `remedy` what to do.
        gate: heading, bounds, then the measures of each synthesis; `result` the overall result.
        traffic: why there is no plot; "" if there is one.
    """

    project: str
    cutover: Cutover
    spans: Sequence[Span] = ()
    error: str = ""
    detail: str = ""
    remedy: str = ""
    gate: Sequence[Sequence[str]] = ()
    result: str = ""
    recordings: Sequence[GateRecordings] = ()
    plot: Plot | None = None
    traffic: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        unverified = (
            ["the release has no verification; --unverified accepted it"]
            if self.cutover.rollout.get("unverified")
            else []
        )
        return [*unverified, *(str(warning) for warning in self.facts.get("warnings", []))]

    @property
    def drained(self) -> dict[str, dict[str, int]]:
        """Outcomes of the drained colour's requests by class."""
        found: dict[str, dict[str, int]] = self.facts.get("drain", {})
        return found

    @property
    def proven(self) -> list[tuple[str, dict[str, Any]]]:
        """Both releases' results at each share of the canary, and in the soak."""
        shares = [(f"canary {share['share']} %", share) for share in self.facts.get("canary", [])]
        if failed := self.facts.get("failed_share"):
            shares.append((f"canary {failed['share']} %, failed", failed))
        soak = self.facts.get("soak", {})
        return shares + ([("soak", soak)] if "candidate" in soak else [])

    @property
    def memory(self) -> dict[str, str]:
        """GPU memory measured by the steps."""
        return dict(_describe(name, value) for name, value in self._others() if name.lower().startswith(MEMORY))

    @property
    def measured(self) -> dict[str, str]:
        """All other facts of the steps in the journal."""
        return dict(_describe(name, value) for name, value in self._others() if not name.lower().startswith(MEMORY))

    def _others(self) -> list[tuple[str, Any]]:
        own = {name: value for name, value in self.facts.items() if name not in SHOWN and not name.startswith("gate ")}
        return [(name, value) for name, value in own.items() if value not in NOTHING]

    @property
    def tone(self) -> str:
        return "good" if self.cutover.served and not self.error else "bad" if self.cutover.ended else "open"


def _describe(name: str, value: Any) -> tuple[str, str]:
    """Describe a journal fact; a unit at the end of its name moves to the value."""
    if isinstance(value, bool):
        return name, "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, dict) and {"sha", "bytes"} <= item.keys() for item in value):
        return name, ", ".join(f"{item['sha'][:12]}: {gib(item['bytes'])}" for item in value)
    words, _, unit = name.rpartition("_")
    if words and unit in UNITS:
        return words.replace("_", " "), f"{value} {unit}"
    return name, value if isinstance(value, str) else json.dumps(value)


def render(page: Page, template: str) -> str:
    """Render the report as HTML."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(page=page, cutover=page.cutover, size=plot)
