"""Collect the data of a cutover's report: journal, gate recordings, proxy log."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from build.audio.features import Deviations
from build.audio.signal import Measures
from build.errors import MissingFileError, OrchestratorError, ReportedError
from build.gate import golden_files
from build.gate import verdict as rules
from build.gate.verdict import Judgement, Result
from build.notify.hook import redact
from build.report import page, plot, timeline
from build.report.page import GateRecordings, Page
from build.report.plot import Plot
from build.settings import Settings
from build.state.history import Cutover
from build.system import files
from build.target.types import Target

TEMPLATE = Path(__file__).with_name("report.html.j2")
BEFORE_S, AFTER_S = 10, 5
# Steps marked in the traffic plot: only those that affect traffic, since marks may be close together.
MARKED = ("start", "verify", "switch", "retire")
# Defaults for measures that older journals lack.
_SINCE = {"speaker": 0.0}


def find(target: Target, identity: str | None) -> Path:
    """Return the path of a cutover's report (None: the newest cutover); write the report if it is missing.

    Raises:
        MissingFileError: the journal has no such cutover.
    """
    past = target.history()
    chosen = next((cutover for cutover in reversed(past) if identity is None or cutover.id == identity), None)
    if chosen is None:
        raise MissingFileError(
            f"the journal has no cutover {identity}" if identity else "the journal has no cutover",
            remedy="`python -m build.cutover history` lists them all",
        )
    path = place(target.settings, chosen.id)
    return path if path.exists() else write(target, chosen.id)


def place(settings: Settings, identity: str) -> Path:
    """Return the path of a cutover's report."""
    return settings.root / "out/cutovers" / identity / "report.html"


def write(target: Target, identity: str, error: BaseException | None = None) -> Path:
    """Write a report; `error` ended the cutover and adds detail that the journal does not keep."""
    path = place(target.settings, identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, page.render(gather(target, identity, error), TEMPLATE.read_text()))
    return path


def gather(target: Target, identity: str, error: BaseException | None = None) -> Page:
    """Collect the data of a report."""
    journal = target.records()
    cutover = next(cutover for cutover in target.history(journal) if cutover.id == identity)
    records = [record for record in journal if record.get("cutover") == identity]
    spans = timeline.read(records)
    drawn, no_plot = _plot(target, cutover, [(span.began_s, span.name) for span in spans if span.name in MARKED])
    known = error if isinstance(error, ReportedError) else None
    judged = _judgement(cutover.facts["gate"]) if cutover.facts.get("gate") else None
    return Page(
        project=target.settings.project,
        cutover=cutover,
        spans=spans,
        error=redact(known.message if known else str(error or cutover.error), os.environ),
        # The report shows the gate's table separately.
        detail=redact(known.detail if known and "gate" not in known.facts else "", os.environ),
        remedy=redact(known.remedy if known else "", os.environ),
        gate=_table(target.settings, judged.results) if judged else [],
        result=str(judged or ""),
        recordings=_recordings(target.settings, path=place(target.settings, identity).parent),
        plot=drawn,
        traffic=no_plot,
        facts=cutover.facts,
    )


def _plot(target: Target, cutover: Cutover, steps: list[tuple[float, str]]) -> tuple[Plot | None, str]:
    began = timeline.unix(cutover.began)
    ended = timeline.unix(cutover.ended) or datetime.now(UTC).timestamp()
    try:
        requests = target.proxy.requests(began - BEFORE_S, ended + AFTER_S)
    except OrchestratorError as error:
        return None, f"The proxy's log cannot be read: {error.message}"
    return plot.draw(requests, began, steps), ""


def _table(settings: Settings, results: Sequence[Result]) -> list[list[str]]:
    """Return the gate's measures and bounds; [] if the golden set cannot be read."""
    try:
        known = golden_files.load(settings)
    except OrchestratorError:
        return []
    return rules.table(results, known.bounds, known.texts.expect)


def _judgement(facts: Mapping[str, Any]) -> Judgement:
    """Parse the output of Judgement.facts from the journal."""
    results = tuple(_result(result) for result in facts["results"])
    return Judgement(results, facts["quality"], facts.get("speaker"), facts["realtime"], facts["live_realtime"])


def _result(facts: Mapping[str, Any]) -> Result:
    """Parse the output of Result.facts from the journal."""
    return Result(
        name=facts["name"],
        text=facts["text"],
        first_s=facts["first_s"],
        took_s=facts["took_s"],
        measures=Measures(**facts["measures"]) if facts["measures"] else None,
        deviations=Deviations(**_SINCE | facts["deviations"]) if facts["deviations"] else None,
        against=facts["against"],
        faults=tuple(facts["faults"]),
        near=facts["near"],
    )


def _recordings(settings: Settings, path: Path) -> list[GateRecordings]:
    """Read the gate's recordings: NUMBER-TEXT-SIDE.wav, where SIDE is candidate or live."""
    try:
        texts = {text.name: text.say for text in golden_files.load(settings).texts.texts}
    except OrchestratorError:
        texts = {}
    names = sorted({wav.stem.rpartition("-")[0] for wav in path.glob("*.wav")})
    return [
        GateRecordings(
            name=name,
            text=texts.get(name.partition("-")[2], ""),
            candidate=_audio(path / f"{name}-candidate.wav"),
            live=_audio(path / f"{name}-live.wav"),
        )
        for name in names
    ]


def _audio(wav: Path) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(wav.read_bytes()).decode()}" if wav.exists() else ""
