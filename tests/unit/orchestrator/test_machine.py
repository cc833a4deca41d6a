"""The cutover's table: it leads to an end, and a failure is answered by where traffic is."""

import pytest

from build.decisions.machine import ENDS, FINAL, STRAIGHT, Remedy, State, Step, next_step


def test_the_straight_path_leads_from_pulled_to_retired_and_visits_no_state_twice() -> None:
    state, visited = State.PULLED, []
    while step := next_step(state):
        visited.append(step.name)
        state = step.ends
    assert state is State.RETIRED
    assert visited == ["preflight", "start", "warm", "verify", "switch", "retire"]


@pytest.mark.parametrize("step", STRAIGHT)
def test_before_the_switch_a_failure_never_touches_traffic_and_after_it_never_undoes_it(step: Step) -> None:
    names = [each.name for each in STRAIGHT]
    before, after = names.index(step.name) < names.index("switch"), names.index(step.name) > names.index("switch")
    if before:
        assert step.on_failure in {Remedy.STOP, Remedy.DISCARD}
    elif after:
        assert step.on_failure is Remedy.KEEP
    else:
        assert step.on_failure is Remedy.RETURN


def test_every_failure_has_an_end_and_final_states_have_no_next_step() -> None:
    assert set(ENDS) == set(Remedy)
    assert [state for state in FINAL if next_step(state)] == []
