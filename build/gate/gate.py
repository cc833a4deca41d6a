"""The gate: the candidate and the live release synthesize the golden set; judge the candidate's audio."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from build.audio import dnsmos, features, signal, speaker, speaker_embedding
from build.audio.features import Features
from build.errors import GateRefusedError
from build.gate import golden_files
from build.gate import verdict as rules
from build.gate.golden import Text
from build.gate.verdict import REPEATS, Judgement, Result
from build.progress import Progress
from build.settings import Settings
from build.target.await_ready import UNTOUCHED
from build.target.container import ServiceStatus
from build.target.synthesis import SynthesisResponse

RECALIBRATE = "run `python -m build.golden calibrate REF`, review and commit the bounds, and switch again"


class MonotonicClock(Protocol):
    def now(self) -> float:
        """Return seconds of a monotonic clock."""


class Synthesizer(Protocol):
    """A release that can synthesize: a container of a colour, or a temporary one (build.target.container)."""

    def status(self) -> ServiceStatus:
        """Return the service's status."""

    def speak(self, text: str, voice: str, timeout_s: float) -> SynthesisResponse:
        """Synthesize a text."""


def run(
    candidate: Synthesizer,
    live: Synthesizer | None,
    settings: Settings,
    clock: MonotonicClock,
    progress: Progress,
    folder: Path | None,
    client_impact: str = UNTOUCHED,
    *,
    known: bool = False,
) -> Judgement:
    """Judge a candidate that is ready. Recordings of the candidate and of the live release go to `folder`.

    Args:
        known: the release passed the whole gate before; if references exist, skip speaker and quality checks.

    Raises:
        GateRefusedError: the candidate failed; the detail has the table of all measures and bounds.
        GoldenError: the golden set is invalid.
    """
    began = clock.now()
    attempt = GateRun(candidate, live, settings, progress, folder, known=known)
    texts = attempt.golden.texts.first(settings.gate_syntheses)
    progress.step(f"gate: the candidate synthesizes {len(texts)} texts" + (" beside the live release" if live else ""))
    results, faults = attempt.synthesize_all(texts)
    faults = faults or attempt.lasting_faults(texts, results, attempt.audio_faults, rounds=1)
    # Without a live release requests may be waiting, and the limit is far from any measured speed.
    rounds = rules.speed_rounds(len(texts)) if live else 1
    faults = faults or attempt.lasting_faults(texts, results, attempt.speed_faults, rounds=rounds)
    progress.note(f"judged in {clock.now() - began:.1f} s")
    if faults:
        listen = f"listen to the recordings in {folder}; " if folder else ""
        raise attempt.error(results, faults, f"{listen}{client_impact}. If the new sound is intended, {RECALIBRATE}")
    return attempt.judgement([result for result in results if not result.faults])


class GateRun:
    """One run of the gate on a candidate, with its references."""

    def __init__(
        self,
        candidate: Synthesizer,
        live: Synthesizer | None,
        settings: Settings,
        progress: Progress,
        folder: Path | None,
        *,
        known: bool,
    ) -> None:
        self.golden = golden_files.load(settings)
        self._measures_voice = not (known and self.golden.stored)
        self._candidate, self._live, self._progress, self._folder = candidate, live, progress, folder
        self._timeout_s = settings.gate_timeout_s
        self._expected = self.golden.texts.expect.of(candidate.status().sample_rate)
        self._live_results: list[Result] = []
        self._passed_audio: list[npt.NDArray[np.float32]] = []
        self._passed: dict[str, Features] = {}  # the candidate's last passed take by text
        self._live_features: dict[str, Features] = {}  # the live release's by text
        self._rate = self._count = 0
        self._quality: float | None = None
        self._speaker: float | None = None
        if not live and not self.golden.stored:
            progress.note(
                "no reference: no release is live, and the golden set has no calibration "
                "(`python -m build.golden calibrate` writes one)"
            )

    def synthesize_all(self, texts: Sequence[Text]) -> tuple[list[Result], list[str]]:
        """Synthesize all texts, and repeat one if the rules allow it; return the results and the remaining faults."""
        self._passed_audio, self._passed = [], {}
        results: list[Result] = []
        for text in texts:
            results.append(self.speak(text))
            if results[-1].mute:  # it fails whatever the other texts sound like, and requests may be waiting
                break
        name = rules.text_to_repeat(results)
        repeated = [self.speak(text) for text in texts if text.name == name for _ in range(REPEATS)]
        return results + repeated, rules.remaining_faults(results, repeated)

    def lasting_faults(
        self,
        texts: Sequence[Text],
        results: list[Result],
        overall_faults: Callable[[Sequence[Result]], list[str]],
        *,
        rounds: int,
    ) -> list[str]:
        """Return the faults of an overall measure that remain when all texts are repeated, at most `rounds` times.

        A voice or a machine may have a bad moment. The results of each round are appended to `results`.
        """
        for number in range(1, rounds + 1):
            if not (found := overall_faults(results)):
                return []
            self._progress.note(f"{found[0]}; repeating all texts ({number} of at most {rounds})")
            repeated, faults = self.synthesize_all(texts)
            results += repeated
            if faults:
                return faults
        return overall_faults(results)

    def speak(self, text: Text) -> Result:
        """Judge one text, spoken by the live release, then by the candidate, so that both run under the same load."""
        self._count += 1
        references = {"golden": self.golden.stored[text.name]} if text.name in self.golden.stored else {}
        if (live_features := self._live_reference(text, references)) is not None:
            references = {**references, "live": live_features}
            self._live_features[text.name] = live_features
        response = self._candidate.speak(text.say, self.golden.texts.voice, self._timeout_s)
        self._store(text, "candidate", response)
        recorded = self._features(response)
        result = rules.judge(text, response, recorded, self._expected, references, self.golden.bounds)
        self._progress.note(str(result))
        if recorded is not None and not result.faults:
            self._passed[text.name] = recorded
            samples, self._rate = signal.decode(response.wav)
            self._passed_audio.append(samples)
        return result

    def audio_faults(self, _results: Sequence[Result]) -> list[str]:
        """Return faults of the newest take as a whole (speaker, quality), which no single text shows."""
        if not self._measures_voice:
            return []
        # The calibrated quality bound holds for all texts together; fewer texts vary more.
        complete = self._passed.keys() >= {text.name for text in self.golden.texts.texts}
        candidate, stored, live = map(self._combined_embedding, (self._passed, self.golden.stored, self._live_features))
        self._speaker, faults = rules.speaker_faults(candidate, stored, live, self.golden.speaker)
        minimum = self.golden.quality if complete else self.golden.texts.expect.quality
        if minimum is None:
            return faults
        self._quality = dnsmos.quality(np.concatenate(self._passed_audio), self._rate)
        if self._quality < minimum:
            faults = [f"poor quality: DNSMOS {self._quality:.2f}, at least {minimum:.2f}", *faults]
        return faults

    def _combined_embedding(self, by_text: dict[str, Features]) -> speaker_embedding.Floats:
        """Return the embedding of all texts together; NO_EMBEDDING if one is missing."""
        names = [text.name for text in self.golden.texts.texts]
        if not by_text.keys() >= set(names):
            return speaker_embedding.NO_EMBEDDING
        return speaker_embedding.together([by_text[name].speaker for name in names])

    def judgement(self, results: Sequence[Result]) -> Judgement:
        """Return a judgement of these results with the best speed of both releases."""
        best = min((result.realtime for result in results if result.realtime), default=0.0)
        live = min((result.realtime for result in self._live_results), default=None)
        return Judgement(tuple(results), self._quality, self._speaker, best, live)

    def error(self, results: Sequence[Result], faults: Sequence[str], remedy: str) -> GateRefusedError:
        """Return the error of a candidate with these faults."""
        return GateRefusedError(
            "the candidate's audio failed the gate:\n  " + "\n  ".join(faults),
            detail=rules.plain(rules.table(results, self.golden.bounds, self.golden.texts.expect)),
            remedy=remedy,
            facts={"gate": self.judgement(results).facts()},
        )

    def speed_faults(self, results: Sequence[Result]) -> list[str]:
        """Return faults of speed, compared with the live release's results so far."""
        return rules.speed_faults(results, self._live_results, self.golden.texts.expect)

    def _live_reference(self, text: Text, stored: dict[str, Features]) -> Features | None:
        """Return the live release's recording as a reference, or None if it fails: a live release may be broken."""
        if self._live is None:
            return None
        response = self._live.speak(text.say, self.golden.texts.voice, self._timeout_s)
        recorded = self._features(response)
        result = rules.judge(text, response, recorded, self.golden.texts.expect.of(None), stored, self.golden.bounds)
        if result.faults and not result.near:
            self._progress.note(f"the live release fails this text, so it is not a reference: {result.faults[0]}")
            return None
        self._live_results.append(result)
        self._store(text, "live", response)
        return recorded

    def _features(self, response: SynthesisResponse) -> Features | None:
        """Return the features of a recording; None without sound."""
        try:
            samples, rate = signal.decode(response.wav)
        except ValueError:
            return None
        if not samples.any():
            return None
        embedding = speaker_embedding.NO_EMBEDDING
        if self._measures_voice and self.golden.texts.expect.speaker:
            embedding = speaker.embedding(samples, rate)
        return features.features(samples, rate, embedding)

    def _store(self, text: Text, release: str, response: SynthesisResponse) -> None:
        if self._folder and response.wav:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{self._count:02}-{text.name}-{release}.wav").write_bytes(playable(response.wav))


def playable(wav: bytes) -> bytes:
    """Return a streamed WAV with its length in the header, which players need; other content is unchanged."""
    try:
        samples, rate = signal.decode(wav)
    except ValueError:
        return wav
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(np.rint(samples * 32768).astype("<i2").tobytes())
    return buffer.getvalue()
