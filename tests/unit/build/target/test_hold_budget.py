"""The longest wait in a hold belongs to the proxy that exists."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from build.settings import Settings
from build.target.target import ComposeTarget
from harness.stack import REPOSITORY


@pytest.mark.parametrize(
    ("environment", "budget_s"), [(None, 90), (["HOLD_BUDGET_S=30", "PUBLISHED=127.0.0.1"], 30), ([], 60)]
)
def test_a_running_proxy_keeps_the_budget_that_it_was_created_with(
    environment: list[str] | None, budget_s: float
) -> None:
    proxy = None if environment is None else SimpleNamespace(attrs={"Config": {"Env": environment}})
    engine = SimpleNamespace(container=lambda _name: proxy)
    assert ComposeTarget(Settings(root=REPOSITORY, hold_budget_s=90), cast(Any, engine)).hold_budget_s == budget_s
