"""The action after a response, and the delay before the next try."""

from __future__ import annotations

import pytest

from batch.run.responses import BROKEN, Response, ResponseAction, judge, pause_s


@pytest.mark.parametrize(
    ("action", "responses"),
    [
        (ResponseAction.DONE, [Response(200)]),
        (
            ResponseAction.WAIT,
            [Response(429), Response(503, code="draining"), Response(503), Response(425), Response(0, sent=False)],
        ),
        (
            ResponseAction.RETRY,
            [Response(0), Response(500), Response(502), Response(504), Response(408), Response(200, code=BROKEN)],
        ),
        (ResponseAction.FAILED, [Response(400), Response(413), Response(415), Response(422), Response(501)]),
        (
            ResponseAction.STOP,
            [Response(301), Response(308), Response(401), Response(403), Response(404), Response(405), Response(204)],
        ),
    ],
)
def test_action_after_a_response(action: ResponseAction, responses: list[Response]) -> None:
    assert {judge(response) for response in responses} == {action}


def test_pauses_grow_up_to_a_bound_and_follow_retry_after() -> None:
    assert [pause_s(tries, None, 1.0) for tries in (1, 2, 3, 20, 2000)] == [0.5, 1.0, 2.0, 30.0, 30.0]
    assert pause_s(1, None, 0.0) == 0.25
    assert (pause_s(9, 7.0, 0.0), pause_s(9, 8.0, 1.0), pause_s(1, 1e9, 0.0)) == (7.0, 10.0, 300.0)
