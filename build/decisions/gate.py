"""The gate's questions, and its judgement of one answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

from build.decisions.audio import Expectation, Measures
from build.decisions.audio import judge as judge_audio

# Short to middling, so that a gate costs seconds; no two of equal length.
SENTENCES = (
    "The candidate speaks before anyone listens to it.",
    "Seven clear voices read the morning news aloud, one after the other.",
    "Good evening.",
    "Every sentence that you hear was made a moment ago by the new release.",
    "Please hold the line.",
)


def sentences(count: int) -> list[str]:
    """`count` texts to be spoken, the same ones for every release."""
    return list(islice(cycle(SENTENCES), count))


@dataclass(frozen=True)
class Result:
    """One synthesis as judged; `took_s` includes the way into the container (about 0.1 s)."""

    text: str
    took_s: float
    measures: Measures | None
    faults: tuple[str, ...]

    def __str__(self) -> str:
        heard = self.measures
        said = f"{heard.duration_s:.2f} s at {heard.sample_rate} Hz, {heard.rms_dbfs:.0f} dBFS" if heard else "nothing"
        return f"{'passed' if not self.faults else 'REFUSED'}  {said}, in {self.took_s:.2f} s: {self.text}"

    def facts(self) -> dict[str, Any]:
        """For the journal."""
        return {**asdict(self), "faults": list(self.faults)}


def judge(
    text: str, exit_code: int, wav: bytes, error: str, *, took_s: float, sample_rate: int | None = None
) -> Result:
    """Judges what the candidate answered to `text`; a refusal or a crash is a fault like any other.

    `sample_rate` is what the release says of itself, in Hz; None leaves it open.
    """
    if exit_code:
        return Result(text, took_s, None, (f"no audio: {error or f'exit code {exit_code}'}",))
    verdict = judge_audio(text, wav, Expectation(sample_rate=sample_rate))
    return Result(text, took_s, verdict.measures, verdict.faults)
