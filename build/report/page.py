"""A cutover's page: what is on it, and its text. Everything that is shown comes from outside and is escaped."""

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

# Shown elsewhere on the page.
SHOWN = frozenset({"gate", "warnings", "drain", "canary", "soak"})
MEMORY = ("vram", "gpu", "memory")
UNITS = ("s", "ms")
NOTHING: tuple[object, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Take:
    """One text before the gate: what both releases said, as data URIs ("" where there is none)."""

    name: str
    text: str
    candidate: str
    live: str


@dataclass(frozen=True)
class Page:
    """What there is; whatever is empty is left out, with a word on it where one would look for it.

    Attributes:
        error: the cutover's error, whole; `detail` its log lines or table, `remedy` what it says to do.
        gate: heading, bounds, then the measures of each synthesis; `heard` what was found in all of them.
        traffic: why there is no plot, when there is none.
    """

    project: str
    cutover: Cutover
    spans: Sequence[Span] = ()
    error: str = ""
    detail: str = ""
    remedy: str = ""
    gate: Sequence[Sequence[str]] = ()
    heard: str = ""
    takes: Sequence[Take] = ()
    plot: Plot | None = None
    traffic: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> list[str]:
        unverified = (
            ["the release has no verification; accepted by --unverified"]
            if self.cutover.rollout.get("unverified")
            else []
        )
        return [*unverified, *(str(each) for each in self.facts.get("warnings", []))]

    @property
    def drained(self) -> dict[str, dict[str, int]]:
        """By class, what became of the requests on the colour that was taken out."""
        found: dict[str, dict[str, int]] = self.facts.get("drain", {})
        return found

    @property
    def proven(self) -> list[tuple[str, dict[str, Any]]]:
        """What clients got of both releases at each share of a canary, and in the soak."""
        shares = [(f"canary {each['share']} %", each) for each in self.facts.get("canary", [])]
        soak = self.facts.get("soak", {})
        return shares + ([("soak", soak)] if "candidate" in soak else [])

    @property
    def memory(self) -> dict[str, str]:
        """GPU memory, where a step measured it."""
        return dict(_said(name, value) for name, value in self._others() if name.lower().startswith(MEMORY))

    @property
    def measured(self) -> dict[str, str]:
        """What else the steps left in the journal."""
        return dict(_said(name, value) for name, value in self._others() if not name.lower().startswith(MEMORY))

    def _others(self) -> list[tuple[str, Any]]:
        own = {name: value for name, value in self.facts.items() if name not in SHOWN and not name.startswith("gate ")}
        return [(name, value) for name, value in own.items() if value not in NOTHING]

    @property
    def tone(self) -> str:
        return "good" if self.cutover.served and not self.error else "bad" if self.cutover.ended else "open"


def _said(name: str, value: Any) -> tuple[str, str]:
    """A fact of the journal in words; its name ends with its unit where it has one."""
    if isinstance(value, bool):
        return name, "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, dict) and {"sha", "bytes"} <= each.keys() for each in value):
        return name, ", ".join(f"{each['sha'][:12]}: {gib(each['bytes'])}" for each in value)
    words, _, unit = name.rpartition("_")
    if words and unit in UNITS:
        return words.replace("_", " "), f"{value} {unit}"
    return name, value if isinstance(value, str) else json.dumps(value)


def render(page: Page, template: str) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(page=page, cutover=page.cutover, size=plot)
