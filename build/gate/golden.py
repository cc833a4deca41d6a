"""The golden set: texts and limits, written by hand, and the calibration, measured from recordings."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from statistics import median, quantiles
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from build.audio import features, speaker_embedding
from build.audio.features import Deviations, Features
from build.audio.signal import Expectation
from build.model.suggestion import did_you_mean

# Lower limits of the calibrated bounds, however evenly a voice speaks: listeners do not notice smaller deviations.
FLOORS = Deviations(
    words=12.0,
    stretch=20.0,
    contour=5.0,
    timbre=0.8,
    pitch=0.08,
    length=0.1,
    gap=0.15,
    level=4.0,
    noise=0.05,
    speaker=0.06,
)
SPEAKER_FLOOR = 0.01  # for all texts together, which distinguish voices five times better than one text
QUALITY_FLOOR = 0.15  # tolerance of DNSMOS below the median
Positive = Annotated[float, Field(gt=0)]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(Model):
    """One text of the set."""

    name: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    say: str = Field(min_length=10, max_length=400)


class Expect(Model):
    """Limits for every text, independent of references.

    `quality` is the minimum DNSMOS (None: not checked); `speaker`: whether to check the speaker. `slower` is a multiple
    of the live release's time, `realtime` of the audio's duration.
    """

    chars_per_second: tuple[Positive, Positive] = (8.0, 25.0)
    rms_dbfs: float = Field(-40.0, ge=-90, lt=0)
    peak: tuple[Positive, Positive] = (0.05, 1.0)
    clipped: float = Field(0.001, ge=0, le=1)
    silence: float = Field(0.35, ge=0, le=1)
    gap_s: float = Field(1.0, gt=0)
    quality: float | None = Field(2.7, ge=1, le=5)
    speaker: bool = True
    realtime: float = Field(2.0, gt=0)
    slower: float = Field(2.0, gt=1)

    def of(self, sample_rate: int | None) -> Expectation:
        """Return the limits for a single recording; `sample_rate` (Hz) is the release's own statement."""
        limits = self.model_dump(exclude={"quality", "speaker", "realtime", "slower"})
        return Expectation(sample_rate=sample_rate, **limits)


class GoldenSet(Model):
    """Content of golden/NAME.yaml."""

    voice: str
    expect: Expect = Expect()
    texts: tuple[Text, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _are_unique(self) -> GoldenSet:
        for field in ("name", "say"):
            values = [getattr(text, field) for text in self.texts]
            if duplicates := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"two texts have the same {field}: {', '.join(duplicates)}")
        return self

    def first(self, count: int) -> tuple[Text, ...]:
        """Return the first `count` texts; none occurs twice."""
        return self.texts[:count]


class Reference(Model):
    """One text as the calibrated release spoke it."""

    say: str
    duration_s: Positive
    level_dbfs: float
    gap_s: float = Field(ge=0)
    pitch_hz: float = Field(ge=0)
    noise: float = Field(ge=0, le=1)
    cepstra: str
    speaker: str

    @model_validator(mode="after")
    def _can_be_unpacked(self) -> Reference:
        features.unpack(self.cepstra)
        speaker_embedding.unpack(self.speaker)
        return self

    @property
    def features(self) -> Features:
        numbers = self.model_dump(exclude={"say", "cepstra", "speaker"})
        return Features(
            **numbers, cepstra=features.unpack(self.cepstra), speaker=speaker_embedding.unpack(self.speaker)
        )


class Calibration(Model):
    """Content of golden/calibrated/NAME.yaml; `python -m build.golden calibrate` writes it, a person reviews it."""

    release: str
    runs: int = Field(ge=2)
    bounds: Deviations
    quality: float = Field(ge=1, le=5, description="minimum DNSMOS of all texts in a row")
    speaker: Positive = Field(description="maximum distance of the speaker of all texts together from the references")
    references: dict[str, Reference]


M = TypeVar("M", bound=Model)


def validate(model: type[M], document: Any) -> tuple[M | None, list[str]]:
    """Return the document as a model, or all errors, one per line, with the nearest valid name."""
    try:
        return model.model_validate(document), []
    except ValidationError as error:
        return None, [_line(model, item) for item in error.errors()]


def _line(model: type[Model], item: Any) -> str:
    *parents, name = item["loc"] or ("the file",)
    where = ".".join(str(part) for part in item["loc"]) or "the file"
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown field{did_you_mean(str(name), _names(model, [str(parent) for parent in parents]))}"
    value = "" if item["type"] in {"missing", "value_error"} else f", not {item['input']!r}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}{value}"


def _names(model: type[Model], parents: list[str]) -> list[str]:
    children = {"expect": Expect, "texts": Text, "references": Reference}
    found: Any = children.get(parents[0], model) if parents else model
    return list(features.NAMES) if parents[:1] == ["bounds"] else list(found.model_fields)


def calibrate(
    release: str, golden: GoldenSet, recorded: dict[str, list[Features]], qualities: list[float]
) -> Calibration:
    """Compute bounds and references from a release's own recordings (by text name, at least two each).

    `qualities` are the DNSMOS of each take of all texts in a row.

    A bound is the largest difference between two recordings of a text plus that difference's distance from the median.
    The reference of a text is the recording nearest to all others; speakers are compared with the reference only. The
    DNSMOS bound lies twice as far below the median as the lowest decile.
    """
    apart = {name: [_distances(one, takes) for one in takes] for name, takes in recorded.items()}
    pairs = [pair for rows in apart.values() for row in rows for pair in row]
    most, usual = (asdict(of(pairs)) for of in (features.worst, features.median))
    bounds = {
        name: round(max(floor, most[name] + (most[name] - usual[name])), 3) for name, floor in asdict(FLOORS).items()
    }
    references, speakers = {}, list[float]()
    for text in golden.texts:
        sums = [sum(pair.words for pair in row) for row in apart[text.name]]
        best = recorded[text.name][sums.index(min(sums))]
        speakers += [
            speaker_embedding.apart(best.speaker, take.speaker) for take in recorded[text.name] if take is not best
        ]
        references[text.name] = _reference(text, best)
    # Compared with the reference, not pairwise: one odd recording in a hundred would allow audibly different speakers.
    bounds["speaker"] = round(_bound(speakers, FLOORS.speaker), 3)
    runs = min(len(takes) for takes in recorded.values())
    usual_quality = median(qualities)
    # A decile, since a voice has a bad take now and then, and the gate repeats a take below the bound.
    low = quantiles(qualities, n=10, method="inclusive")[0]
    minimum_quality = min(usual_quality - QUALITY_FLOOR, 2 * low - usual_quality)
    return Calibration(
        release=release,
        runs=runs,
        bounds=Deviations(**bounds),
        quality=round(minimum_quality, 3),
        speaker=round(_speaker_bound(recorded, runs), 4),
        references=references,
    )


def _reference(text: Text, take: Features) -> Reference:
    numbers = {name: round(value, 3) for name, value in vars(take).items() if name not in {"cepstra", "speaker"}}
    packed = {"cepstra": features.pack(take.cepstra), "speaker": speaker_embedding.pack(take.speaker)}
    return Reference(say=text.say, **packed, **numbers)


def _speaker_bound(recorded: dict[str, list[Features]], runs: int) -> float:
    """Return the bound for the speaker of all texts together, by the rule of the other bounds."""
    takes = [
        speaker_embedding.together([of_text[take].speaker for of_text in recorded.values()]) for take in range(runs)
    ]
    return _bound([speaker_embedding.apart(one, other) for one, other in combinations(takes, 2)], SPEAKER_FLOOR)


def _bound(apart: list[float], floor: float) -> float:
    return max(floor, 2 * max(apart) - median(apart))


def _distances(one: Features, takes: list[Features]) -> list[Deviations]:
    return [features.deviations(one, other) for other in takes if other is not one]
