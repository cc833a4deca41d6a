"""The gate on real speech: the engine's own speech passes, and each faulty release is rejected by name."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from build.audio import features, signal, speaker
from build.audio.signal import Measures
from build.errors import GateRefusedError
from build.gate import gate
from build.gate import verdict as rules
from build.gate.golden import Expect
from build.gate.golden_files import load
from build.gate.verdict import Judgement, Result
from build.settings import Settings
from build.target.synthesis import SynthesisResponse
from build.target.types import Clock
from harness.faulty_voices import FAULTS, LARGER, OVER_ALL, Mouth, Recorded, Stranger, noise, sized
from harness.stack import REPOSITORY
from service.engine import Engine
from tests.unit.build.fakes import Report
from tests.unit.conftest import piper

__all__ = ("piper",)  # a fixture


@pytest.fixture(scope="module")
def recorded(piper: Engine) -> Recorded:
    """The embedded voice; it synthesizes each text once for all tests."""
    return Recorded(piper)


def judge(
    candidate: Mouth,
    live: Mouth | None = None,
    syntheses: int = 1,
    folder: Path | None = None,
    report: Report | None = None,
) -> Judgement:
    settings = Settings(root=REPOSITORY, gate_syntheses=syntheses)
    return gate.run(candidate, live, settings, Clock(), report or Report(), folder)


def test_the_engine_passes_beside_itself_and_the_recordings_are_stored(piper: Engine, tmp_path: Path) -> None:
    good = Mouth(piper, now=time.thread_time)
    judged = judge(good, good, syntheses=2, folder=tmp_path / "recordings")
    assert [result.faults for result in judged.results] == [(), ()]
    assert judged.quality
    assert judged.quality > 2.7
    assert judged.speaker is None  # two texts are too few
    assert judged.facts()["results"][0]["deviations"]["words"] > 0
    recordings = sorted(path.name for path in (tmp_path / "recordings").iterdir())
    assert [name.split("-", 1)[1] for name in recordings[:2]] == ["evening-candidate.wav", "evening-live.wav"]


def test_a_known_release_is_compared_without_speaker_and_quality_checks(recorded: Recorded) -> None:
    once = Settings(root=REPOSITORY, gate_syntheses=1)
    assert gate.run(Mouth(recorded), None, once, Clock(), Report(), None, known=True).quality is None
    with pytest.raises(GateRefusedError, match="words"):
        gate.run(Mouth(recorded, noise), None, once, Clock(), Report(), None, known=True)


@pytest.mark.parametrize("name", sorted(FAULTS.keys() - {"3x slower", "every second one silent"}))
def test_each_fault_is_rejected_and_named(recorded: Recorded, name: str) -> None:
    mouth, word = FAULTS[name]
    with pytest.raises(GateRefusedError, match=word) as raised:
        judge(mouth(recorded), syntheses=6 if name in OVER_ALL else 1)
    assert "bounds" in raised.value.detail


@pytest.mark.parametrize("name", list(load(Settings(root=REPOSITORY)).stored))
@pytest.mark.parametrize("factor", [1.08, LARGER], ids=["smaller", "larger"])
def test_a_speaker_8_percent_off_is_rejected_in_every_text(recorded: Recorded, factor: float, name: str) -> None:
    known = load(Settings(root=REPOSITORY))
    text = next(text for text in known.texts.texts if text.name == name)
    response = sized(recorded, factor).speak(text.say, "joe", 1)
    samples, rate = signal.decode(response.wav)
    measured = features.features(samples, rate, speaker.embedding(samples, rate))
    result = rules.judge(
        text, response, measured, known.texts.expect.of(None), {"golden": known.stored[name]}, known.bounds
    )
    assert any("speaker differs" in fault for fault in result.faults), result


def test_the_engine_has_the_calibrated_speaker_over_all_texts(recorded: Recorded) -> None:
    judged = judge(Mouth(recorded), syntheses=6)
    assert judged.speaker is not None
    assert 0 < judged.speaker < load(Settings(root=REPOSITORY)).speaker


def test_an_engine_three_times_slower_is_rejected(piper: Engine) -> None:
    with pytest.raises(GateRefusedError, match="slow"):
        judge(Mouth(piper, work=3, now=time.thread_time), Mouth(piper, now=time.thread_time))


class SlowAtFirst(Mouth):
    """Its first takes need several times the time, as on a machine that is busy for a moment."""

    slow_takes, factor = 3, 3

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        response = super().speak(text, voice, timeout_s)
        factor = self.factor if len(self.spoken) <= self.slow_takes else 1
        return replace(response, first_s=response.first_s * factor, took_s=response.took_s * factor)


def test_a_candidate_that_is_slow_for_a_moment_passes(piper: Engine) -> None:
    candidate = SlowAtFirst(piper, now=time.thread_time)
    judge(candidate, Mouth(piper, now=time.thread_time))
    assert candidate.slow_takes < len(candidate.spoken) <= rules.SPEED_TAKES


class VerySlow(SlowAtFirst):
    slow_takes, factor = 100, 1000


def test_a_slow_candidate_without_a_live_release_is_repeated_once(piper: Engine) -> None:
    candidate = VerySlow(piper, now=time.thread_time)
    with pytest.raises(GateRefusedError, match="slow"):
        judge(candidate)
    assert len(candidate.spoken) == 2


def test_a_release_that_is_silent_every_second_time_is_not_repeated_until_it_passes(recorded: Recorded) -> None:
    mouth, _ = FAULTS["every second one silent"]
    candidate = mouth(recorded)
    with pytest.raises(GateRefusedError, match="silent"):
        judge(candidate, syntheses=2)
    assert len(candidate.spoken) == 2


def test_a_broken_live_release_is_not_a_reference(recorded: Recorded) -> None:
    report = Report()
    assert judge(Mouth(recorded), Mouth(recorded, noise), report=report).results[0].against == "golden"
    assert any("is not a reference" in line for line in report.lines)


def test_a_candidate_as_wrong_as_the_live_release_does_not_pass(recorded: Recorded) -> None:
    with pytest.raises(GateRefusedError, match="speaker differs"):
        judge(Stranger(recorded), Stranger(recorded))


def result(name: str, fault: str = "", *, near: bool = False) -> Result:
    return Result(name, f"text {name}", 0.1, 0.1, faults=(fault,) if fault else (), near=near)


def test_only_a_single_near_miss_is_repeated_and_must_pass_twice() -> None:
    good, near, far = result("a"), result("b", "a hair", near=True), result("b", "a mile")
    assert rules.text_to_repeat([good, good]) is None
    assert rules.text_to_repeat([good, near]) == "b"
    assert rules.text_to_repeat([good, far]) is None
    assert rules.text_to_repeat([near, result("c", "a hair", near=True)]) is None
    assert rules.remaining_faults([good, near], [good, good]) == []
    assert len(rules.remaining_faults([good, near], [good, near])) == 2
    assert rules.remaining_faults([good, near], []) == ["“text b”: a hair"]


def timed(name: str, first_s: float, took_s: float) -> Result:
    measures = Measures(22050, 2.0, -20, 0.9, 0, 0, 0)
    return Result(name, name, first_s, took_s, measures=measures)


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ([timed("a", 0.4, 0.4), timed("b", 0.2, 0.4)], ""),
        ([timed("a", 1.2, 1.2), timed("b", 0.4, 1.2)], "best real-time"),
        (
            [timed("a", 0.4, 0.4), timed("b", 0.2, 0.4), timed("c", 2, 2), timed("d", 2, 2), timed("e", 2, 2)],
            "median",
        ),
        ([timed("a", 0.4, 0.4), timed("b", 0.75, 0.76)], "first audio of “b”"),
    ],
)
def test_speed_is_judged_by_best_median_and_first_audio(candidate: list[Result], message: str) -> None:
    live = [timed("a", 0.4, 0.4), timed("b", 0.2, 0.4)]
    faults = rules.speed_faults(candidate, live, Expect())
    assert bool(faults) == bool(message)
    assert message in " ".join(faults)


def test_without_a_live_release_the_real_time_factor_has_an_absolute_limit() -> None:
    assert rules.speed_faults([timed("a", 1, 3.9)], [], Expect()) == []
    assert "real-time factor" in rules.speed_faults([timed("a", 1, 4.1)], [], Expect())[0]
