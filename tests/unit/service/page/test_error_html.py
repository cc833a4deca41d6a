"""Errors as the page shows them."""

from __future__ import annotations

import pytest

from service.errors import DrainingError, InvalidError, QueueFullError, ServiceError
from service.page.error_html import alert, describe
from service.page.language import ENGLISH, Language, Translator

CHINESE = Translator(Language.CHINESE)
LONG = InvalidError("the text has 9 <characters>", code="text_too_long", param="the text")


@pytest.mark.parametrize(
    ("error", "english", "chinese"),
    [
        (
            LONG,
            "The text has 9 &lt;characters&gt;. Shorten it, or split it into the lines of a batch.",
            "文字过长。请缩短文字，或拆分为批量任务的多行。"
            '<br><span lang="en">The text has 9 &lt;characters&gt;.</span>',
        ),
        (
            QueueFullError("the queue is full", retry_after=7),
            "The queue is full. Try again in 7 s.",
            '排队已满。请在 7 秒后重试。<br><span lang="en">The queue is full.</span>',
        ),
        (
            ServiceError("it broke", code="unheard_of"),
            "It broke. Try again.",
            '请重试。<br><span lang="en">It broke.</span>',
        ),
        (
            DrainingError(),
            "The service is being updated. Press the button again.",
            "服务正在更新，请再次点击按钮。",
        ),
    ],
)
def test_an_error_has_its_problem_and_a_remedy(error: ServiceError, english: str, chinese: str) -> None:
    assert (describe(error, ENGLISH), describe(error, CHINESE)) == (english, chinese)


def test_an_alert_names_the_control_to_correct() -> None:
    assert 'data-control="#text textarea"' in alert(LONG, ENGLISH)
    assert 'data-control=""' in alert(QueueFullError("the queue is full"), ENGLISH)
