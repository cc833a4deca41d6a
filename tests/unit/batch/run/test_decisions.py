"""The pure parts: the limit, what an answer means, how long to wait, whether audio is whole."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile

from batch import errors
from batch.errors import BatchError
from batch.output import audio
from batch.run.aimd import Limit
from batch.run.responses import BROKEN, Answer, Verdict, judge, pause_s
from tests.unit.batch.support import wav


def test_the_limit_grows_by_one_in_a_round_and_only_when_used() -> None:
    limit = Limit(1, 16, 4)
    for _ in range(5):
        limit.accepted(4)
    assert limit.allowed == 5
    for _ in range(100):
        limit.accepted(2)
    assert limit.allowed == 5
    for _ in range(1000):
        limit.accepted(16)
    assert limit.value == 16


def test_a_refusal_halves_it_once_for_all_that_was_in_flight() -> None:
    limit = Limit(3, 16, 16)
    for now in (10.0, 10.1, 10.2):
        limit.refused(sent=9.0, now=now)
    assert limit.allowed == 8
    limit.refused(sent=10.1, now=11.0)
    limit.refused(sent=12.0, now=13.0)
    assert limit.value == 3


@pytest.mark.parametrize(
    ("verdict", "answers"),
    [
        (Verdict.DONE, [Answer(200)]),
        (Verdict.WAIT, [Answer(429), Answer(503, code="draining"), Answer(503), Answer(425), Answer(0, sent=False)]),
        (Verdict.AGAIN, [Answer(0), Answer(500), Answer(502), Answer(504), Answer(408), Answer(200, code=BROKEN)]),
        (Verdict.FAILED, [Answer(400), Answer(413), Answer(415), Answer(422), Answer(501)]),
        (Verdict.STOP, [Answer(301), Answer(308), Answer(401), Answer(403), Answer(404), Answer(405), Answer(204)]),
    ],
)
def test_what_an_answer_means(verdict: Verdict, answers: list[Answer]) -> None:
    assert {judge(answer) for answer in answers} == {verdict}


def test_pauses_grow_up_to_a_bound_and_follow_what_the_service_asks() -> None:
    assert [pause_s(tries, None, 1.0) for tries in (1, 2, 3, 20, 2000)] == [0.5, 1.0, 2.0, 30.0, 30.0]
    assert pause_s(1, None, 0.0) == 0.25
    assert (pause_s(9, 7.0, 0.0), pause_s(9, 8.0, 1.0), pause_s(1, 1e9, 0.0)) == (7.0, 10.0, 300.0)


def encoded(form: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(12_000, np.int16) + 5, 8000, format=form, subtype="PCM_16")
    return file.getvalue()


def test_the_length_of_whole_audio() -> None:
    assert audio.duration_s(encoded("wav"), "wav", "", "1.500") == 1.5
    assert audio.duration_s(encoded("flac"), "flac", "", "1.500") == 1.5
    assert audio.duration_s(b"\0\1" * 12_000, "pcm", "8000", "") == 1.5


@pytest.mark.parametrize(
    ("content", "form", "told"),
    [
        (encoded("wav")[:-2000], "wav", "1.500"),
        (encoded("wav"), "wav", "1.6"),
        (encoded("wav"), "flac", ""),
        (encoded("flac"), "wav", ""),
        (encoded("flac")[:20], "flac", ""),
        (wav(0), "wav", ""),
        (b"", "wav", ""),
        (b"", "pcm", ""),
        (b"{}", "wav", ""),
    ],
)
def test_audio_that_is_not_whole(content: bytes, form: str, told: str) -> None:
    with pytest.raises(ValueError, match="the answer"):
        audio.duration_s(content, form, "8000", told)


def every_error(top: type[BatchError] = BatchError) -> Iterator[type[BatchError]]:
    yield top
    for below in top.__subclasses__():
        yield from every_error(below)


def test_exit_codes_are_unique_and_documented() -> None:
    codes = {error.exit_code: error.__name__ for error in every_error()}
    assert len(codes) == len(list(every_error()))
    assert set(vars(errors)) >= set(codes.values())
    with open("docs/batch.md", encoding="utf-8") as page:  # noqa: PTH123
        table = page.read()
    assert all(f"| {code} | " in table for code in codes if code != BatchError.exit_code)
