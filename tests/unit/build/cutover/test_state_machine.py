"""The tables of steps: each reaches an end, and the action after a failure depends on the traffic."""

import pytest

from build.cutover.state_machine import FINAL_STATE, ROLLBACK_ACTION, TABLES, FailureAction, next_step, table
from build.model.states import CANARY, FINAL, SOAK, State, Strategy

TABLE = pytest.mark.parametrize("strategy", Strategy)


@TABLE
def test_a_table_leads_from_pulled_to_retired_and_visits_no_state_twice(strategy: Strategy) -> None:
    state, visited = State.PULLED, [State.PULLED]
    while step := next_step(state, TABLES[strategy]):
        state = step.ends
        assert state not in visited
        visited.append(state)
    assert state is State.RETIRED
    assert len(visited) == len(TABLES[strategy]) + 1


@TABLE
def test_the_action_after_a_failure_depends_on_whether_traffic_has_moved(strategy: Strategy) -> None:
    moved = False
    for step in TABLES[strategy]:
        if step.name == "switch":
            moved = True
            assert step.on_failure is ROLLBACK_ACTION[strategy]
        elif moved:
            assert step.on_failure is (ROLLBACK_ACTION[strategy] if step.name == SOAK else FailureAction.KEEP)
        elif step.name == CANARY:
            assert step.on_failure is FailureAction.RETURN
        elif strategy is Strategy.HOLD and step.name not in {"preflight", "park"}:
            assert step.on_failure is FailureAction.RELOAD
        else:
            assert step.on_failure in {FailureAction.STOP, FailureAction.DISCARD}


@TABLE
def test_a_rollback_is_never_rolled_back(strategy: Strategy) -> None:
    steps = table(strategy, rollback=True)
    assert [step.name for step in steps] == [step.name for step in TABLES[strategy] if step.name not in {CANARY, SOAK}]
    assert FailureAction.RETURN not in {step.on_failure for step in steps}
    stays = {step.name for step in steps if step.on_failure is FailureAction.STAY}
    assert stays == (set() if strategy is Strategy.HOLD else {"switch"})
    assert table(strategy, rollback=False, canary=True, soak=True) == TABLES[strategy]
    assert table(strategy, rollback=True, canary=True, soak=True) == steps


def test_each_action_has_a_final_state_and_final_states_have_no_next_step() -> None:
    assert set(FINAL_STATE) == set(FailureAction)
    assert [state for state in FINAL for table in TABLES.values() if next_step(state, table)] == []
