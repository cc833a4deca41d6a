"""Hooks and HTML report of a cutover."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from build.errors import GateRefusedError, HookRefusedError
from harness.browser import chromium
from harness.load import Report, hammering
from harness.releases import SILENCE, derived
from harness.stack import Stack, hooks, wait_for

POINTS = ("pre-switch", "post-switch")
WIDTHS = (390, 1280)
STEPS, SYNTHESES = 7, 6
# Decode each recording completely: a header with a duration does not prove that there is audio.
FACTS = """
const text = of => document.querySelector(of)?.textContent ?? "";
const count = of => document.querySelectorAll(of).length;
const element = audio => new Promise((good, bad) => {
    audio.onerror = () => bad("an audio element: " + audio.error?.message);
    audio.onloadedmetadata = () => good(audio.duration);
    audio.preload = "auto";
    audio.load();
});
const peak = async audio => {
    const bytes = Uint8Array.from(atob(audio.src.split(",")[1]), character => character.charCodeAt(0));
    const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(bytes.buffer);
    return sound.getChannelData(0).reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
};
const sounds = [];
for (const audio of document.querySelectorAll("audio"))
    sounds.push({seconds: await element(audio), peak: await peak(audio)});
return {
    sounds,
    error: text("#errors .error"),
    across: document.documentElement.scrollWidth,
    points: count("#traffic circle"),
    steps: count("#timeline tr") - 1,
    hooks: [...document.querySelectorAll("#timeline td:first-child")].filter(td => /^hook /.test(td.innerText)).length,
    gate: count("#gate tbody tr"),
    refused: count("#gate tbody tr.REFUSED"),
};
"""


def live(stack: Stack) -> str:
    status = stack.status()
    return str(status["colours"][status["live"]]["release"]["sha"])


@dataclass(frozen=True)
class ReportedCutover:
    """A cutover under load with two hooks: previous release, release, load, output of the hooks, report."""

    before: str
    sha: str
    load: Report
    hooks: list[str]
    page: Path


@pytest.fixture(scope="module")
def reported(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> ReportedCutover:
    written = tmp_path_factory.mktemp("hooks") / "output"
    command = f'["sh", "-c", "echo $0 $CUTOVER_RELEASE >>{written}", "{{0}}"]'
    before, sha = live(stack), stack.release("with hooks")
    with hooks(stack, "\n".join(f"{point} = {command.format(point)}" for point in POINTS)):
        with hammering(stack.url, 2) as load:
            wait_for("traffic", lambda: len(load.report.samples) > 4)
            stack.run("build.cutover", "switch", sha, CUTOVER_GATE_SYNTHESES=str(SYNTHESES))
        page = newest_page(stack)
    return ReportedCutover(before, sha, load.report, written.read_text().splitlines(), page)


def newest_page(stack: Stack) -> Path:
    return stack.root / stack.run("build.cutover", "report").stdout.strip().splitlines()[-1]


def test_a_cutover_runs_its_hooks_and_writes_a_report(reported: ReportedCutover) -> None:
    assert reported.load.failed == [], reported.load.summary()
    assert reported.hooks == [f"{point} {reported.sha}" for point in POINTS]
    html = reported.page.read_text()
    assert reported.sha in html
    assert reported.before[:12] in html
    assert not re.findall(r"""(?:src|href)=["']https?:""", html), "the report is self-contained"


def test_a_browser_shows_the_report_and_plays_both_recordings(reported: ReportedCutover, tmp_path: Path) -> None:
    for found in inspect(reported.page, tmp_path):
        assert found["points"] >= len(reported.load.samples) / 2, "requests around the switch are plotted"
        assert found["steps"] >= STEPS
        assert found["hooks"] == len(POINTS)
        assert found["gate"] >= SYNTHESES
        assert len(found["sounds"]) >= 2 * SYNTHESES
        assert all(sound["seconds"] > 0 and sound["peak"] > 0.05 for sound in found["sounds"]), found["sounds"]


def test_the_report_of_a_refused_candidate_has_its_measures_and_recordings(stack: Stack, tmp_path: Path) -> None:
    reference, before = derived(stack, "refused", SILENCE), live(stack)
    whole = {"CUTOVER_GATE_SYNTHESES": str(SYNTHESES)}
    done = stack.run("build.cutover", "switch", reference, "--unverified", check=False, **whole)
    stack.docker.images.remove(reference, force=True)
    assert done.returncode == GateRefusedError.exit_code, done.stderr
    assert live(stack) == before
    record = next(record for record in reversed(stack.journal()) if record["event"] == "failed")
    results = record["facts"]["gate"]["results"]
    assert all(any("silent" in fault for fault in result["faults"]) for result in results)
    for found in inspect(newest_page(stack), tmp_path):
        assert found["gate"] == found["refused"] == len(results) == SYNTHESES
        assert "silent" in found["error"]
        assert [sound["peak"] > 0.05 for sound in found["sounds"]] == [False, True] * SYNTHESES, "candidate, then live"
        assert all(sound["seconds"] > 0 for sound in found["sounds"])


def inspect(page: Path, pictures: Path) -> list[dict[str, Any]]:
    """Return the facts of a page in a browser at the widths of a phone and a desktop; fail on any browser error."""
    found = []
    with chromium(pictures) as browser:
        views = browser.look(page, FACTS, WIDTHS)
    for view in views:
        picture = pictures / f"{page.parent.name}-{view.width}.png"
        picture.write_bytes(view.picture)
        print(picture)
        assert view.errors == []
        assert view.found["across"] <= view.width, "the page scrolls horizontally"
        found.append(view.found)
    assert len(found) == len(WIDTHS)
    return found


def test_a_hook_before_the_switch_can_refuse_it(stack: Stack) -> None:
    before, sha = live(stack), stack.release("refused by a hook")
    with hooks(stack, 'pre-switch = ["sh", "-c", "echo not today; exit 3"]'):
        done = stack.run("build.cutover", "switch", sha, check=False)
    assert done.returncode == HookRefusedError.exit_code
    assert "not today" in done.stderr
    assert live(stack) == before
    assert stack.status()["in_progress"] is None
