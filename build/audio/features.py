"""Compare two recordings of one text: words, timbre, pitch, speaker, loudness, length.

Words are compared by cepstra: the shape of a spectrum without its loudness. Dynamic time warping aligns the
recordings, so that a voice that never speaks twice alike still matches itself.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import astuple, dataclass, field, fields

import numpy as np
import numpy.typing as npt

from build.audio import speaker_embedding
from build.audio.signal import measure
from build.audio.speaker_embedding import NO_EMBEDDING

Floats = npt.NDArray[np.floating]

HOP_S, WINDOW_S = 0.02, 0.04
BANDS, LOWEST_HZ, HIGHEST_HZ = 24, 60.0, 7600.0  # below the band limit of the lowest sample rate (16 kHz)
CEPSTRA = 13
# Frames this far (dB) below the loud ones are pauses; their length varies freely, and `gap` limits it.
PAUSE_DB, DEPTH_DB = 40.0, 60.0
STRETCH_FRAMES = 15  # 0.3 s
PITCH_HZ = (60.0, 400.0)
VOICED = 0.5
NOT_AT_ALL = 99.0


@dataclass(frozen=True)
class Features:
    """Features of one recording in Hz, seconds, dBFS; `noise` is its spectral flatness, 1 for white noise.

    `cepstra` has shape [frames without pauses, CEPSTRA]; `speaker` is an embedding (build.audio.speaker_embedding) or
    NO_EMBEDDING.
    """

    duration_s: float
    level_dbfs: float
    gap_s: float
    pitch_hz: float
    noise: float
    cepstra: Floats
    speaker: npt.NDArray[np.float32] = field(default_factory=lambda: NO_EMBEDDING)


@dataclass(frozen=True)
class Deviations:
    """Distances of a recording from another one of the same text; all are 0 for the same recording.

    Attributes:
        words: mean distance of the cepstra along the best alignment; detects other sentences, reversed sound.
        stretch: the same over its worst 0.3 s; detects a missing, repeated or broken word.
        contour: difference of the loudness along the alignment (dB, RMS).
        timbre: distance of the mean spectra along it (dB, RMS); detects another voice, noise, distortion.
        pitch: ratio of the median pitches, as |ln|; detects another voice, a wrong rate.
        length: ratio of the durations, as |ln|; detects wrong speed, a missing part.
        gap: how much longer the longest pause is (s).
        level: difference in level (dB).
        noise: increase of the spectral flatness.
        speaker: 1 less the cosine of the embeddings; detects another voice; 0 if not computed.
    """

    words: float
    stretch: float
    contour: float
    timbre: float
    pitch: float
    length: float
    gap: float
    level: float
    noise: float
    speaker: float


NAMES = tuple(column.name for column in fields(Deviations))


def features(samples: npt.NDArray[np.float32], rate: int, speaker: npt.NDArray[np.float32] = NO_EMBEDDING) -> Features:
    """Return the features of a mono signal in [-1, 1], shape (samples,), at `rate` Hz; `speaker` is its embedding."""
    measures = measure(samples, rate)
    bands = _bands(samples, rate)
    return Features(
        duration_s=measures.duration_s,
        level_dbfs=measures.rms_dbfs,
        gap_s=measures.gap_s,
        pitch_hz=_pitch(samples, rate),
        noise=float(np.median(10 ** (bands.mean(1) / 10) / (10 ** (bands / 10)).mean(1))),
        cepstra=bands @ _cosines(),
        speaker=speaker,
    )


def deviations(recorded: Features, reference: Features) -> Deviations:
    """Return the distances of `recorded` from `reference`."""
    shape, other = (side.cepstra[:, 1:] - side.cepstra[:, 1:].mean(0) for side in (recorded, reference))
    cost = np.sqrt(
        np.maximum((shape**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * shape @ other.T, 0)
    )  # [frames, frames of the reference]
    words, here, there = _align(cost)
    along = cost[here, there]
    window = min(STRETCH_FRAMES, len(along))
    apart = recorded.cepstra[here] - reference.cepstra[there]
    loudness = apart[:, 0] / np.sqrt(BANDS)
    return Deviations(
        words=words,
        stretch=float(np.convolve(along, np.full(window, 1 / window), "valid").max()),
        contour=float(np.std(loudness)),
        timbre=float(np.sqrt(np.sum(apart[:, 1:].mean(0) ** 2) / BANDS)),
        pitch=_ratio(recorded.pitch_hz, reference.pitch_hz),
        length=_ratio(recorded.duration_s, reference.duration_s),
        gap=max(0.0, recorded.gap_s - reference.gap_s),
        level=abs(recorded.level_dbfs - reference.level_dbfs),
        noise=max(0.0, recorded.noise - reference.noise),
        speaker=speaker_embedding.apart(recorded.speaker, reference.speaker),
    )


def _ratio(one: float, other: float) -> float:
    if one > 0 and other > 0:
        return float(abs(np.log(one / other)))
    return 0.0 if one == other else NOT_AT_ALL


def _frames(samples: npt.NDArray[np.float32], rate: int) -> Floats:
    hop, window = int(rate * HOP_S), int(rate * WINDOW_S)
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(padded, window)[::hop].astype(np.float64)


def _bands(samples: npt.NDArray[np.float32], rate: int) -> Floats:
    """Return the levels (dB) by mel band of all frames without pauses: [frames, BANDS]."""
    frames = _frames(samples, rate)
    window = frames.shape[1]
    size = 1 << (window - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * np.hanning(window), size)) ** 2 / window**2
    bands = 10 * np.log10(power @ _filters(size, rate) + 1e-10)
    loudest = bands.max(1)
    top = np.percentile(loudest, 95)
    return np.asarray(np.maximum(bands, top - DEPTH_DB)[loudest > top - PAUSE_DB])


def _cosines() -> Floats:
    """Return the matrix from bands to cepstra: [BANDS, CEPSTRA], orthonormal."""
    band = np.arange(BANDS)[:, None] + 0.5
    cosines = np.cos(np.pi * band * np.arange(CEPSTRA) / BANDS) * np.sqrt(2 / BANDS)
    cosines[:, 0] /= np.sqrt(2)
    return np.asarray(cosines)


def _filters(size: int, rate: int) -> Floats:
    """Return triangular filters on the mel scale, which follows the ear's frequency resolution: [bins, BANDS]."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.clip(np.minimum(rising, falling), 0, None)
    return np.asarray(triangles / (triangles.sum(0) + 1e-12))


def _pitch(samples: npt.NDArray[np.float32], rate: int) -> float:
    """Return the median pitch (Hz) of the voiced frames, by autocorrelation; 0 without voiced frames."""
    frames = _frames(samples, rate)
    level = np.sqrt((frames**2).mean(1))
    frames = frames[level > 0.1 * level.max()]
    if not len(frames):
        return 0.0
    size = 1 << (2 * frames.shape[1] - 1).bit_length()
    window = np.hanning(frames.shape[1])
    frames = (frames - frames.mean(1, keepdims=True)) * window
    alike = np.fft.irfft(np.abs(np.fft.rfft(frames, size)) ** 2)
    taper = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)
    shortest, longest = int(rate / PITCH_HZ[1]), int(rate / PITCH_HZ[0])
    lags = slice(shortest, longest)
    alike = alike[:, lags] / np.maximum(alike[:, :1], 1e-12) / (taper[lags] / taper[0])
    voiced = alike.max(1) > VOICED
    return float(np.median(rate / (shortest + alike[voiced].argmax(1)))) if voiced.any() else 0.0


def _align(cost: Floats) -> tuple[float, npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return mean cost, rows and columns of the cheapest monotonic path through `cost` from corner to corner."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(2, rows + columns + 1):  # a diagonal needs only the two before it
        row = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        column = diagonal - row
        here = cost[row - 1, column - 1]
        straight = total[row - 1, column - 1] + 2 * here
        total[row, column] = np.minimum(np.minimum(total[row - 1, column], total[row, column - 1]) + here, straight)
    path, row, column = [], rows, columns
    while row and column:
        path.append((row - 1, column - 1))
        here = cost[row - 1, column - 1]
        ways = (total[row - 1, column - 1] + 2 * here, total[row - 1, column] + here, total[row, column - 1] + here)
        way = ways.index(min(ways))
        row, column = row - (way != 2), column - (way != 1)
    along = np.array(path[::-1], dtype=np.intp)
    return float(total[rows, columns] / (rows + columns)), along[:, 0], along[:, 1]


def pack(cepstra: Floats) -> str:
    """Encode cepstra as text, without their mean loudness, rounded to integers (a tenth of a voice's own spread)."""
    centred = cepstra.copy()
    centred[:, 0] -= centred[:, 0].mean()
    return base64.b64encode(zlib.compress(np.clip(np.rint(centred), -127, 127).astype(np.int8).tobytes(), 9)).decode()


def unpack(text: str) -> Floats:
    """Decode the output of `pack`.

    Raises:
        ValueError: invalid input.
    """
    try:
        numbers = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.int8)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"not packed cepstra: {error}") from None
    if not len(numbers) or len(numbers) % CEPSTRA:
        raise ValueError(f"{len(numbers)} numbers do not fill rows of {CEPSTRA}")
    return numbers.reshape(-1, CEPSTRA).astype(np.float64)


def worst(all_deviations: list[Deviations]) -> Deviations:
    """Return the maximum of each distance."""
    return Deviations(*(float(value) for value in np.max([astuple(deviation) for deviation in all_deviations], axis=0)))


def median(all_deviations: list[Deviations]) -> Deviations:
    """Return the median of each distance."""
    return Deviations(
        *(float(value) for value in np.median([astuple(deviation) for deviation in all_deviations], axis=0))
    )
