"""What an answer means, and how long to wait before the next try."""

from __future__ import annotations

import pytest

from batch.run.responses import BROKEN, Answer, Verdict, judge, pause_s


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
