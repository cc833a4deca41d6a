"""Rules of the gate: judge one synthesis, the speed, the speaker, and which synthesis may be repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from build.audio import features, signal, speaker_embedding
from build.audio.features import Deviations, Features
from build.audio.signal import Expectation, Measures
from build.audio.speaker_embedding import Floats
from build.gate.golden import Expect, Text
from build.target.synthesis import SynthesisResponse

# A deviation up to this factor beyond its bound may be the voice's random variation; anything above is a fault.
NEAR = 1.25
REPEATS = 2  # of a text that failed so narrowly
# A text counts as streamed if its first audio came before this share of its total time.
STREAMED = 0.8
FIRST_SLACK_S = 0.2
MEDIAN_SLACK = 1.5
SPEED_TAKES = 8  # of each release; a busy machine doubles the time of one or two takes of a tenth of a second

# The value of a deviation that is beyond its bound goes into the braces.
DESCRIPTIONS = {
    "words": "words differ from the reference: distance {:.2f}",
    "stretch": "0.3 s of speech differ from the reference: distance {:.2f}",
    "contour": "loudness contour differs from the reference by {:.2f} dB",
    "timbre": "timbre differs from the reference by {:.2f} dB: another voice",
    "pitch": "pitch differs from the reference: |ln| of the ratio {:.2f}",
    "length": "length differs from the reference: |ln| of the ratio {:.2f}",
    "gap": "longest pause exceeds the reference by {:.2f} s",
    "level": "level differs from the reference by {:.2f} dB",
    "noise": "noise: spectral flatness exceeds the reference by {:.2f}",
    "speaker": "speaker differs from the reference: distance {:.2f}",
}
COLUMNS = (
    "text",
    "verdict",
    "audio",
    "took",
    "first",
    "dBFS",
    "peak",
    "clipped",
    "silence",
    *features.NAMES,
    "reference",
)


@dataclass(frozen=True)
class Result:
    """One judged synthesis.

    Attributes:
        against: the nearest reference: "live", "golden", or "" if there is none.
        faults: measured and allowed values of all failures; empty if it passes.
        near: the faults may be random variation of the voice.
    """

    name: str
    text: str
    first_s: float
    took_s: float
    measures: Measures | None = None
    deviations: Deviations | None = None
    against: str = ""
    faults: tuple[str, ...] = ()
    near: bool = False

    @property
    def mute(self) -> bool:
        """No answer or no sound, which is never random variation."""
        return bool(self.faults) and self.measures is None

    @property
    def realtime(self) -> float:
        """Synthesis time per second of audio."""
        return self.took_s / self.measures.duration_s if self.measures and self.measures.duration_s else 0.0

    def __str__(self) -> str:
        measured = self.measures
        audio = f"{measured.duration_s:.2f} s, {measured.rms_dbfs:.0f} dBFS" if measured else "no audio"
        return f"{'passed' if not self.faults else 'REFUSED'}  {audio}, in {self.took_s:.2f} s: {self.text}"

    def facts(self) -> dict[str, Any]:
        """Return the result for the journal."""
        return {**asdict(self), "faults": list(self.faults)}


@dataclass(frozen=True)
class Judgement:
    """The gate's judgement of a candidate: each synthesis, overall measures, best speed of both releases.

    The results of a passed candidate have no faults. `quality` is the DNSMOS of all of them, `speaker` the distance of
    their speaker from the references'; None if not checked.
    """

    results: tuple[Result, ...]
    quality: float | None
    speaker: float | None
    realtime: float
    live_realtime: float | None

    def __str__(self) -> str:
        quality = "not measured" if self.quality is None else f"{self.quality:.2f}"
        speaker = "not measured" if self.speaker is None else f"{self.speaker:.4f}"
        live = "no live release" if self.live_realtime is None else f"live release {self.live_realtime:.2f}"
        return f"DNSMOS {quality}; speaker distance {speaker}; real-time factor {self.realtime:.2f} ({live})"

    def facts(self) -> dict[str, Any]:
        """Return the judgement for the journal."""
        return {**asdict(self), "results": [result.facts() for result in self.results]}


def judge(
    text: Text,
    response: SynthesisResponse,
    recorded: Features | None,
    expected: Expectation,
    references: Mapping[str, Features],
    bounds: Deviations,
) -> Result:
    """Judge a candidate's response to a text; an error or a crash is a fault like any other.

    The recording must lie within `bounds` of one reference; the references have passed themselves. `recorded` are its
    features, None without sound.
    """
    unjudged = Result(text.name, text.say, response.first_s, response.took_s)
    if response.error:
        return replace(unjudged, faults=(f"no audio: {response.error}",))
    verdict = signal.judge(text.say, response.wav, expected)
    if recorded is None or not references:
        return replace(unjudged, measures=verdict.measures, faults=verdict.faults)
    apart = {name: features.deviations(recorded, reference) for name, reference in references.items()}
    against = min(apart, key=lambda name: _excess(apart[name], bounds))
    deviation_faults = _deviation_faults(apart[against], bounds)
    return replace(
        unjudged,
        measures=verdict.measures,
        deviations=apart[against],
        against=against,
        faults=(*verdict.faults, *deviation_faults),
        near=bool(deviation_faults) and not verdict.faults and _excess(apart[against], bounds) <= NEAR,
    )


def _excess(apart: Deviations, bounds: Deviations) -> float:
    return max(float(value / asdict(bounds)[name]) for name, value in asdict(apart).items())


def _deviation_faults(apart: Deviations, bounds: Deviations) -> tuple[str, ...]:
    allowed = asdict(bounds)
    return tuple(
        f"{DESCRIPTIONS[name].format(value)}, at most {allowed[name]:.2f}"
        for name, value in asdict(apart).items()
        if value > allowed[name]
    )


def text_to_repeat(results: Sequence[Result]) -> str | None:
    """Return the name of the one text to repeat `REPEATS` times, all of which must pass.

    None if everything passed, or the failure is not random: more than one text, or far beyond its bound. So repeating
    cannot hide a fault. Of 200 candidates that randomly fail every second synthesis slightly, about eight pass six
    texts; of those that fail clearly, three.
    """
    failed = [result for result in results if result.faults]
    return failed[0].name if len(failed) == 1 and failed[0].near else None


def remaining_faults(results: Sequence[Result], repeated: Sequence[Result]) -> list[str]:
    """Return the remaining faults after the text of `text_to_repeat` was repeated."""
    repeats_passed = bool(repeated) and not any(result.faults for result in repeated)
    return [
        f"“{result.text}”: {fault}"
        for result in (*results, *repeated)
        for fault in result.faults
        if not (repeats_passed and result.near)
    ]


def speaker_faults(candidate: Floats, stored: Floats, live: Floats, most: float) -> tuple[float | None, list[str]]:
    """Return the speaker's distance from the nearer reference (None: no reference) and its faults.

    Each embedding may be NO_EMBEDDING; the live release's counts only if it passes against the stored one.
    """
    references = [
        reference
        for reference in (stored, live)
        if len(reference) and speaker_embedding.apart(reference, stored) <= most
    ]
    if not len(candidate) or not references:
        return None, []
    apart = min(speaker_embedding.apart(candidate, reference) for reference in references)
    fault = f"speaker differs from the reference over all texts: distance {apart:.4f}, at most {most:.4f}"
    return apart, [fault] if apart > most else []


def speed_rounds(texts: int) -> int:
    """Return how often a set of texts is repeated at most before a candidate counts as slow."""
    return max(1, math.ceil(SPEED_TAKES / texts) - 1)


def speed_faults(candidate: Sequence[Result], live: Sequence[Result], expect: Expect) -> list[str]:
    """Return faults of speed: best, median, and time to the first audio. Both releases ran in the same minutes.

    The best of several runs suffers least from a busy machine. Without a live release only an absolute limit applies.
    """
    candidate = [result for result in candidate if result.realtime]
    live = [result for result in live if result.realtime]
    if not candidate:
        return []
    best = min(result.realtime for result in candidate)
    if not live:
        limit = expect.realtime
        return [f"slow: best real-time factor {best:.2f}, at most {limit:g}"] if best > limit else []
    faults = []
    for name, statistic, factor in (("best", min, expect.slower), ("median", median, expect.slower * MEDIAN_SLACK)):
        value, reference = (statistic(result.realtime for result in results) for results in (candidate, live))
        if value > factor * reference:
            faults.append(
                f"slow: {name} real-time factor {value:.3f}, at most {factor:g} x {reference:.3f} (live release)"
            )
    return faults + _late(candidate, live, expect)


def _late(candidate: Sequence[Result], live: Sequence[Result], expect: Expect) -> list[str]:
    faults = []
    for name in dict.fromkeys(result.name for result in live if result.first_s < STREAMED * result.took_s):
        reference = min(result.first_s for result in live if result.name == name)
        first = min((result.first_s for result in candidate if result.name == name), default=0.0)
        if first > (most := expect.slower * reference + FIRST_SLACK_S):
            faults.append(
                f"late: first audio of “{name}” after {first:.2f} s, at most {most:.2f} s "
                f"(live release {reference:.2f} s)"
            )
    return faults


def table(results: Sequence[Result], bounds: Deviations, expect: Expect) -> list[list[str]]:
    """Return heading, bounds, then the measures of each synthesis."""
    low, high = expect.peak
    limits = ["", "", "", "", "", f">{expect.rms_dbfs:.0f}", f"{low:g}-{high:g}", f"<{expect.clipped:.1%}"]
    limits += [f"<{expect.silence:.0%}", *(f"<{value:.2f}" for value in asdict(bounds).values()), ""]
    return [list(COLUMNS), ["bounds", *limits[1:]], *(_row(result) for result in results)]


def _row(result: Result) -> list[str]:
    measured, apart = result.measures, result.deviations
    absolute = ["-"] * 4
    if measured:
        level, peak = f"{measured.rms_dbfs:.0f}", f"{measured.peak:.2f}"
        absolute = [level, peak, f"{measured.clipped:.1%}", f"{measured.silence:.0%}"]
    return [
        result.name,
        "passed" if not result.faults else "near" if result.near else "REFUSED",
        f"{measured.duration_s:.2f} s" if measured else "-",
        f"{result.took_s:.2f} s",
        f"{result.first_s:.2f} s",
        *absolute,
        *([f"{value:.2f}" for value in asdict(apart).values()] if apart else ["-"] * len(features.NAMES)),
        result.against or "-",
    ]


def plain(rows: Sequence[Sequence[str]]) -> str:
    """Format a table as aligned text, for output without a table renderer."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
