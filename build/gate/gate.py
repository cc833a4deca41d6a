"""The gate: let a candidate speak the golden set, beside the live release if there is one, and judge its audio."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
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
from build.gate.verdict import AGAIN, Judgement, Result
from build.progress import Progress
from build.settings import Settings
from build.target.await_ready import UNTOUCHED
from build.target.container import ServiceStatus
from build.target.synthesis import SynthesisResponse


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
    keep: Path | None,
    aftermath: str = UNTOUCHED,
    *,
    known: bool = False,
) -> Judgement:
    """Judge a candidate that is ready. Recordings of the candidate and of the live release go to the folder `keep`.

    Args:
        known: the release has passed the whole gate before; if references exist, speaker and quality checks are
            skipped.

    Raises:
        GateRefusedError: the candidate failed; the detail has the table of all measures and bounds.
        GoldenError: the golden set is invalid.
    """
    began = clock.now()
    trial = GateRun(candidate, live, settings, progress, keep, known=known)
    texts = trial.golden.texts.first(settings.gate_syntheses)
    progress.step(f"gate: {len(texts)} texts spoken by the candidate" + (" and by the live release" if live else ""))
    results, faults = trial.take(texts)
    # A voice or a machine may have a bad moment, so a failure of an overall measure is tried a second time.
    for whole in (trial.flaws, trial.slowness):
        if not faults and (flaws := whole(results)):
            progress.note(f"{flaws[0]}; all of it once more")
            more, faults = trial.take(texts)
            results += more
            faults = faults or whole(results)
    progress.note(f"judged in {clock.now() - began:.1f} s")
    if faults:
        raise GateRefusedError(
            "the candidate spoke, and it did not pass:\n  " + "\n  ".join(faults),
            detail=rules.plain(rules.table(results, trial.golden.bounds, trial.golden.texts.expect)),
            remedy=(f"listen to it in {keep}; " if keep else "") + f"{aftermath}. If it is meant to "
            "sound like this: `python -m build.golden calibrate REF`, review, commit, and switch again",
            facts={"gate": trial.judgement(results).facts()},
        )
    return trial.judgement([result for result in results if not result.faults])


class GateRun:
    """One run of the gate on a candidate, with its references."""

    def __init__(
        self,
        candidate: Synthesizer,
        live: Synthesizer | None,
        settings: Settings,
        progress: Progress,
        keep: Path | None,
        *,
        known: bool,
    ) -> None:
        self.golden = golden_files.load(settings)
        self._listens = not (known and self.golden.stored)
        self._candidate, self._live, self._progress, self._keep = candidate, live, progress, keep
        self._patience_s = settings.gate_timeout_s
        self._expected = self.golden.texts.expect.of(candidate.status().sample_rate)
        self._lives: list[Result] = []
        self._sounds: list[npt.NDArray[np.float32]] = []
        self._heard: dict[str, Features] = {}  # last passed take by text
        self._beside: dict[str, Features] = {}  # the live release's by text
        self._rate = self._count = 0
        self._quality: float | None = None
        self._speaker: float | None = None
        if not live and not self.golden.stored:
            progress.note(
                "nothing to compare with: no live release, no calibration (`python -m build.golden calibrate`)"
            )

    def take(self, texts: Sequence[Text]) -> tuple[list[Result], list[str]]:
        """Synthesize all texts, and repeat one if the rules allow it; return the results and the remaining faults."""
        self._sounds, self._heard = [], {}
        results: list[Result] = []
        for text in texts:
            results.append(self.speak(text))
            if results[-1].mute:  # it fails whatever the other texts sound like, and requests may be waiting
                break
        repeated = [self.speak(text) for text in texts if text.name == rules.again(results) for _ in range(AGAIN)]
        return results + repeated, rules.settled(results, repeated)

    def speak(self, text: Text) -> Result:
        """Judge one text, spoken by the live release, then by the candidate, so that both run under the same load."""
        self._count += 1
        references = {"golden": self.golden.stored[text.name]} if text.name in self.golden.stored else {}
        if (of_live := self._by_live(text, references)) is not None:
            references = {**references, "live": of_live}
            self._beside[text.name] = of_live
        spoken = self._candidate.speak(text.say, self.golden.texts.voice, self._patience_s)
        self._store(text, "candidate", spoken)
        heard = self._hear(spoken)
        result = rules.judge(text, spoken, heard, self._expected, references, self.golden.bounds)
        self._progress.note(str(result))
        if heard is not None and not result.faults:
            self._heard[text.name] = heard
            sound, self._rate = signal.decode(spoken.wav)
            self._sounds.append(sound)
        return result

    def flaws(self, _results: Sequence[Result]) -> list[str]:
        """Return faults of the newest take as a whole (speaker, quality), which no single text shows."""
        if not self._listens:
            return []
        # The calibrated quality bound holds for all texts together; fewer texts vary more.
        whole = self._heard.keys() >= {text.name for text in self.golden.texts.texts}
        ours, stored, lives = map(self._whose, (self._heard, self.golden.stored, self._beside))
        self._speaker, strange = rules.strange(ours, stored, lives, self.golden.speaker)
        least = self.golden.quality if whole else self.golden.texts.expect.quality
        if least is None:
            return strange
        self._quality = dnsmos.quality(np.concatenate(self._sounds), self._rate)
        poor = [] if self._quality >= least else [f"poor: DNSMOS {self._quality:.2f}, at least {least:.2f}"]
        return poor + strange

    def _whose(self, heard: dict[str, Features]) -> speaker_embedding.Floats:
        """Return the embedding of all texts together; NO_EMBEDDING if one is missing."""
        names = [text.name for text in self.golden.texts.texts]
        known = heard.keys() >= set(names)
        return (
            speaker_embedding.together([heard[name].speaker for name in names])
            if known
            else speaker_embedding.NO_EMBEDDING
        )

    def judgement(self, results: Sequence[Result]) -> Judgement:
        """Return a judgement of these results with the best speed of both releases."""
        best = min((result.realtime for result in results if result.realtime), default=0.0)
        live = min((result.realtime for result in self._lives), default=None)
        return Judgement(tuple(results), self._quality, self._speaker, best, live)

    def slowness(self, results: Sequence[Result]) -> list[str]:
        """Return faults of speed, compared with the live release's results so far."""
        return rules.slowness(results, self._lives, self.golden.texts.expect)

    def _by_live(self, text: Text, stored: dict[str, Features]) -> Features | None:
        """Return the live release's recording as a reference, or None if it fails: a live release may be broken."""
        if self._live is None:
            return None
        spoken = self._live.speak(text.say, self.golden.texts.voice, self._patience_s)
        heard = self._hear(spoken)
        result = rules.judge(text, spoken, heard, self.golden.texts.expect.of(None), stored, self.golden.bounds)
        if result.faults and not result.near:
            self._progress.note(f"the live release does not pass itself and is no measure: {result.faults[0]}")
            return None
        self._lives.append(result)
        self._store(text, "live", spoken)
        return heard

    def _hear(self, spoken: SynthesisResponse) -> Features | None:
        """Return the features of a recording; None without sound."""
        try:
            samples, rate = signal.decode(spoken.wav)
        except ValueError:
            return None
        asked = self._listens and self.golden.texts.expect.speaker
        whose = speaker.embedding(samples, rate) if asked and samples.any() else speaker_embedding.NO_EMBEDDING
        return features.features(samples, rate, whose) if samples.any() else None

    def _store(self, text: Text, whose: str, spoken: SynthesisResponse) -> None:
        if self._keep and spoken.wav:
            self._keep.mkdir(parents=True, exist_ok=True)
            (self._keep / f"{self._count:02}-{text.name}-{whose}.wav").write_bytes(playable(spoken.wav))


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
