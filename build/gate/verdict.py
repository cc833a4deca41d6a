"""Rules of the gate: judge one synthesis, the speed, the speaker, and which synthesis may be repeated."""

from __future__ import annotations

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
AGAIN = 2
# A text counts as streamed if its first audio came before this share of its total time.
STREAMED = 0.8
FIRST_SLACK_S = 0.2
MEDIAN_SLACK = 1.5

WORDS = {
    "words": "other words than the reference: distance",
    "stretch": "0.3 s of it unlike the reference: distance",
    "contour": "its loudness runs otherwise than the reference's: dB",
    "timbre": "another voice than the reference's: dB of timbre",
    "pitch": "another pitch than the reference's: |ln|",
    "length": "another length than the reference's: |ln|",
    "gap": "a hole: s by which its longest pause is longer",
    "level": "another level than the reference's: dB",
    "noise": "noise: flatness beyond the reference's",
    "speaker": "another voice than the reference's: distance of speakers",
}
COLUMNS = (
    "text",
    "verdict",
    "heard",
    "took",
    "first",
    "dBFS",
    "peak",
    "clipped",
    "silence",
    *features.NAMES,
    "against",
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
        heard = self.measures
        said = f"{heard.duration_s:.2f} s, {heard.rms_dbfs:.0f} dBFS" if heard else "nothing"
        return f"{'passed' if not self.faults else 'REFUSED'}  {said}, in {self.took_s:.2f} s: {self.text}"

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
        heard = "not asked" if self.quality is None else f"{self.quality:.2f}"
        speaker = "not asked" if self.speaker is None else f"{self.speaker:.4f} away"
        live = "none live" if self.live_realtime is None else f"live {self.live_realtime:.2f}"
        return f"DNSMOS {heard}; speaker {speaker}; {self.realtime:.2f} of real time ({live})"

    def facts(self) -> dict[str, Any]:
        """Return the judgement for the journal."""
        return {**asdict(self), "results": [result.facts() for result in self.results]}


def judge(
    text: Text,
    spoken: SynthesisResponse,
    heard: Features | None,
    expected: Expectation,
    references: Mapping[str, Features],
    bounds: Deviations,
) -> Result:
    """Judge a candidate's answer to a text; an error or a crash is a fault like any other.

    The recording must lie within `bounds` of one reference; the references have passed themselves. `heard` are its
    features, None without sound.
    """
    unjudged = Result(text.name, text.say, spoken.first_s, spoken.took_s)
    if spoken.error:
        return replace(unjudged, faults=(f"no audio: {spoken.error}",))
    verdict = signal.judge(text.say, spoken.wav, expected)
    if heard is None or not references:
        return replace(unjudged, measures=verdict.measures, faults=verdict.faults)
    apart = {name: features.deviations(heard, reference) for name, reference in references.items()}
    against = min(apart, key=lambda name: _excess(apart[name], bounds))
    strays = _strays(apart[against], bounds)
    return replace(
        unjudged,
        measures=verdict.measures,
        deviations=apart[against],
        against=against,
        faults=(*verdict.faults, *strays),
        near=bool(strays) and not verdict.faults and _excess(apart[against], bounds) <= NEAR,
    )


def _excess(apart: Deviations, bounds: Deviations) -> float:
    return max(float(value / asdict(bounds)[name]) for name, value in asdict(apart).items())


def _strays(apart: Deviations, bounds: Deviations) -> tuple[str, ...]:
    allowed = asdict(bounds)
    return tuple(
        f"{WORDS[name]} {value:.2f}, at most {allowed[name]:.2f}"
        for name, value in asdict(apart).items()
        if value > allowed[name]
    )


def again(results: Sequence[Result]) -> str | None:
    """Return the name of the one text to repeat `AGAIN` times, all of which must pass.

    None if everything passed, or the failure is not random: more than one text, or far beyond its bound. So repeating
    cannot hide a fault. Of 200 candidates that randomly fail every second synthesis slightly, about eight pass six
    texts;
    of those that fail clearly, three.
    """
    failed = [result for result in results if result.faults]
    return failed[0].name if len(failed) == 1 and failed[0].near else None


def settled(results: Sequence[Result], repeated: Sequence[Result]) -> list[str]:
    """Return the remaining faults after the text of `again` was repeated."""
    tried_away = bool(repeated) and not any(result.faults for result in repeated)
    return [
        f"“{result.text}”: {fault}"
        for result in (*results, *repeated)
        for fault in result.faults
        if not (tried_away and result.near)
    ]


def strange(ours: Floats, stored: Floats, lives: Floats, most: float) -> tuple[float | None, list[str]]:
    """Return the speaker's distance from the nearer reference (None: no reference) and its faults.

    Each embedding may be NO_EMBEDDING; the live release's counts only if it passes against the stored one.
    """
    counts = [each for each in (stored, lives) if len(each) and speaker_embedding.apart(each, stored) <= most]
    if not len(ours) or not counts:
        return None, []
    apart = min(speaker_embedding.apart(ours, each) for each in counts)
    fault = f"another voice over all texts: distance of speakers {apart:.4f}, at most {most:.4f}"
    return apart, [fault] if apart > most else []


def slowness(ours: Sequence[Result], lives: Sequence[Result], expect: Expect) -> list[str]:
    """Return faults of speed: best, median, and time to the first audio. Both releases ran in the same minutes.

    The best of several runs suffers least from a busy machine. Without a live release only an absolute limit applies.
    """
    sounding = [result for result in ours if result.realtime]
    beside = [result for result in lives if result.realtime]
    if not sounding:
        return []
    best, usual = (of(each.realtime for each in sounding) for of in (min, median))
    if not beside:
        limit, named = expect.realtime, f"{expect.realtime:g} times real time"
        return [f"slow: {best:.2f} times real time at best, at most {named}"] if best > limit else []
    faults = []
    for said, value, of, factor in (
        ("at best", best, min, expect.slower),
        ("as a rule", usual, median, expect.slower * MEDIAN_SLACK),
    ):
        live = of(each.realtime for each in beside)
        if value > factor * live:
            faults.append(f"slow: {value:.3f} times real time {said}, at most {factor:g} x the {live:.3f} of the live")
    return faults + _late(sounding, beside, expect)


def _late(ours: Sequence[Result], lives: Sequence[Result], expect: Expect) -> list[str]:
    faults = []
    for name in dict.fromkeys(each.name for each in lives if each.first_s < STREAMED * each.took_s):
        live = min(each.first_s for each in lives if each.name == name)
        first = min((each.first_s for each in ours if each.name == name), default=0.0)
        if first > (most := expect.slower * live + FIRST_SLACK_S):
            faults.append(
                f"late: first sound of “{name}” after {first:.2f} s, at most {most:.2f} s (live {live:.2f} s)"
            )
    return faults


def table(results: Sequence[Result], bounds: Deviations, expect: Expect) -> list[list[str]]:
    """Return heading, bounds, then the measures of each synthesis."""
    low, high = expect.peak
    limits = ["", "", "", "", "", f">{expect.rms_dbfs:.0f}", f"{low:g}-{high:g}", f"<{expect.clipped:.1%}"]
    limits += [f"<{expect.silence:.0%}", *(f"<{value:.2f}" for value in asdict(bounds).values()), ""]
    return [list(COLUMNS), ["bounds", *limits[1:]], *(_row(result) for result in results)]


def _row(result: Result) -> list[str]:
    heard, apart = result.measures, result.deviations
    absolute = ["-"] * 4
    if heard:
        absolute = [f"{heard.rms_dbfs:.0f}", f"{heard.peak:.2f}", f"{heard.clipped:.1%}", f"{heard.silence:.0%}"]
    return [
        result.name,
        "passed" if not result.faults else "near" if result.near else "REFUSED",
        f"{heard.duration_s:.2f} s" if heard else "-",
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
