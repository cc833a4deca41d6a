"""A cutover's page, gathered: the journal, the gate's recordings, the proxy's log."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from build.audio.features import Deviations
from build.audio.signal import Measures
from build.errors import LineError, MissingFileError
from build.gate import golden_files
from build.gate import verdict as rules
from build.gate.verdict import Judgement, Result
from build.notify.hook import redact
from build.proxy import haproxy_log
from build.report import page, plot, timeline
from build.report.page import Page, Take
from build.report.plot import Plot
from build.settings import Settings
from build.state.history import Cutover
from build.system import files
from build.target.target import Target

TEMPLATE = Path(__file__).with_name("report.html.j2")
BEFORE_S, AFTER_S = 10, 5
# Where lines may lie close, only what traffic is about is marked.
MARKED = ("start", "verify", "switch", "retire")
# Measures that a journal from before them lacks.
_SINCE = {"speaker": 0.0}


def find(target: Target, identity: str | None) -> Path:
    """The page of a cutover, the newest when None; made from what is here where none was left.

    Raises:
        MissingFileError: the journal knows no such cutover.
    """
    past = target.history()
    chosen = next((each for each in reversed(past) if identity is None or each.id == identity), None)
    if chosen is None:
        raise MissingFileError(
            f"there is no cutover {identity}" if identity else "there has been no cutover yet",
            remedy="`python -m build.cutover history` lists them all",
        )
    path = place(target.settings, chosen.id)
    return path if path.exists() else write(target, chosen.id)


def place(settings: Settings, identity: str) -> Path:
    """Where the page of a cutover is."""
    return settings.root / "out/cutovers" / identity / "report.html"


def write(target: Target, identity: str, error: BaseException | None = None) -> Path:
    """Gathers and writes a page; `error` is what ended the cutover, with what the journal does not keep of it."""
    path = place(target.settings, identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, page.render(gather(target, identity, error), TEMPLATE.read_text()))
    return path


def gather(target: Target, identity: str, error: BaseException | None = None) -> Page:
    """What there is to show of a cutover."""
    told = target.records()
    cutover = next(each for each in target.history(told) if each.id == identity)
    records = [record for record in told if record.get("cutover") == identity]
    spans = timeline.read(records)
    drawn, why = _plot(target, cutover, [(span.began_s, span.name) for span in spans if span.name in MARKED])
    line = error if isinstance(error, LineError) else None
    judged = _judgement(cutover.facts["gate"]) if cutover.facts.get("gate") else None
    return Page(
        project=target.settings.project,
        cutover=cutover,
        spans=spans,
        error=redact(line.message if line else str(error or cutover.error), os.environ),
        # The gate's table is shown as such.
        detail=redact(line.detail if line and "gate" not in line.facts else "", os.environ),
        remedy=redact(line.remedy if line else "", os.environ),
        gate=_table(target.settings, judged.results) if judged else [],
        heard=str(judged or ""),
        takes=_takes(target.settings, path=place(target.settings, identity).parent),
        plot=drawn,
        traffic=why,
        facts=cutover.facts,
    )


def _plot(target: Target, cutover: Cutover, steps: list[tuple[float, str]]) -> tuple[Plot | None, str]:
    began = timeline.unix(cutover.began)
    ended = timeline.unix(cutover.ended) or datetime.now(UTC).timestamp()
    try:
        container = target.engine.container(target.settings.container("proxy"))
        if container is None:
            return None, "The proxy is not there, so its log cannot be read."
        lines = target.engine.log_between(container, began - BEFORE_S, ended + AFTER_S)
    except LineError as error:
        return None, f"The proxy's log cannot be read: {error.message}"
    return plot.draw(haproxy_log.read(lines), began, steps), ""


def _table(settings: Settings, results: Sequence[Result]) -> list[list[str]]:
    """The gate's measures under their bounds; nothing where the golden set cannot be read any more."""
    try:
        known = golden_files.load(settings)
    except LineError:
        return []
    return rules.table(results, known.bounds, known.texts.expect)


def _judgement(facts: Mapping[str, Any]) -> Judgement:
    """What Judgement.facts wrote into the journal."""
    results = tuple(_result(each) for each in facts["results"])
    return Judgement(results, facts["quality"], facts.get("speaker"), facts["realtime"], facts["live_realtime"])


def _result(facts: Mapping[str, Any]) -> Result:
    """A result as Result.facts wrote it into the journal."""
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


def _takes(settings: Settings, path: Path) -> list[Take]:
    """What the gate kept: NUMBER-TEXT-WHOSE.wav."""
    try:
        said = {text.name: text.say for text in golden_files.load(settings).texts.texts}
    except LineError:
        said = {}
    names = sorted({wav.stem.rpartition("-")[0] for wav in path.glob("*.wav")})
    return [
        Take(
            name=name,
            text=said.get(name.partition("-")[2], ""),
            candidate=_audio(path / f"{name}-candidate.wav"),
            live=_audio(path / f"{name}-live.wav"),
        )
        for name in names
    ]


def _audio(wav: Path) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(wav.read_bytes()).decode()}" if wav.exists() else ""
