"""Faults at one record of the journal, under load: no avoidable loss, and a clean state afterwards.

This is a covering set; `python -m bench chaos` runs the whole matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from build.model.states import Strategy
from harness.chaos import case
from harness.chaos.chaos_stack import ChaosStack, chaos_stack
from harness.chaos.stepped import points, steps
from harness.stack import Stack

pytestmark = pytest.mark.alone

CASES = {str(case): case for case in case.cases(every=True)}
COVERING = (
    "overlap intent:warm orchestrator killed",
    "overlap intent:switch orchestrator killed",
    "overlap intent:retire orchestrator killed",
    "hold done:hold orchestrator killed",
    "hold intent:switch orchestrator killed",
    "overlap intent:switch candidate killed",
    "overlap intent:soak candidate killed",
    "overlap done:canary candidate hangs",
    "hold done:load candidate killed",
    "overlap done:warm live colour killed",
    "hold done:hold proxy killed",
    "hold intent:load candidate out of memory",
    "overlap done:admit disk full",
    "overlap intent:switch journal corrupt",
    "hold done:verify target's clock jumps",
    "overlap done:admit lock broken",
    "warm intent:switch candidate hangs",
    "overlap intent:verify orchestrator stands still in a step",
    "overlap intent:soak orchestrator stands still in a step",
    "hold intent:load orchestrator stands still in a step",
)


@pytest.fixture(scope="module")
def broken(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosStack]:
    with chaos_stack(tmp_path_factory.mktemp("chaos"), beside=stack) as made:
        yield made


@pytest.mark.parametrize("name", COVERING)
def test_a_fault_costs_no_more_than_it_must_and_leaves_nothing(broken: ChaosStack, name: str) -> None:
    try:
        found = case.run(broken, CASES[name])
    except BaseException:
        broken.redeploy()
        raise
    print(found)
    if found.wrong:
        broken.redeploy()
    assert found.wrong == ()
    assert found.proof.startswith("at record "), found.proof


def test_the_matrix_is_derived_from_the_tables_of_steps() -> None:
    for strategy in Strategy:
        killed = [case.point for case in CASES.values() if (case.fault.name, case.strategy) == (KILLED, strategy)]
        assert killed == points(strategy)
        assert {point.step for point in killed} >= {step.name for step in steps(strategy)}
    assert len(case.cases()) >= 60


KILLED = "orchestrator killed"
