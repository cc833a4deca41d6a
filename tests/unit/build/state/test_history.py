"""History from the journal: the cutover in progress, and the last good release."""

from dataclasses import asdict
from typing import Any

import pytest

from build.model.release import Release
from build.state.history import Cutover, in_progress, last_good, left_by_agent, read, recorded

Records = list[dict[str, Any]]
A, B, C = (Release(name * 40, f"sha256:{name * 64}") for name in "abc")


def cutover(
    number: int, to: Release, previous: Release | None, *, kind: str = "switch", end: str = "retired"
) -> Records:
    begin = {
        "event": "begin", "kind": kind, "strategy": "overlap", "colour": "blue", "at": "t",
        "release": {"sha": to.sha, "image": to.image},
        "previous": {"sha": previous.sha, "image": previous.image} if previous else None,
    }  # fmt: skip
    records: list[dict[str, Any]] = [begin, {"event": "intent", "step": "start"}]
    if end:
        records.append({"event": "end", "state": end, "at": "t"})
    return [{"cutover": str(number), "seq": 0, **record} for record in records]


def history(*cutovers: Records) -> list[Cutover]:
    return read(record for records in cutovers for record in records)


def test_last_good_is_the_release_that_served_before_the_live_one() -> None:
    past = history(cutover(1, A, None), cutover(2, B, A), cutover(3, C, B))
    assert last_good(past, C) == B


def test_a_failed_cutover_is_not_a_last_good_release() -> None:
    past = history(cutover(1, A, None), cutover(2, B, A, end="failed"))
    assert last_good(past, A) is None


def test_a_release_that_was_rolled_back_from_is_not_good() -> None:
    past = history(cutover(1, A, None), cutover(2, B, A), cutover(3, A, B, kind="rollback"))
    assert last_good(past, A) is None
    twice = history(cutover(1, A, None), cutover(2, B, A), cutover(3, C, B), cutover(4, B, C, kind="rollback"))
    assert last_good(twice, B) == A


def test_the_release_before_the_first_journaled_cutover_is_good() -> None:
    assert last_good(history(cutover(1, B, A)), B) == A


def test_a_cutover_without_an_end_is_in_progress_with_its_step() -> None:
    current = in_progress(history(cutover(1, A, None), cutover(2, B, A, end="")))
    assert current is not None
    assert (current.release, current.step) == (B, "start")
    assert in_progress(history(cutover(1, A, None))) is None


def test_a_record_of_a_cutover_that_never_began_is_refused() -> None:
    with pytest.raises(ValueError, match="has no begin record"):
        read([{"cutover": "9", "seq": 4, "event": "done", "step": "start", "state": "starting"}])


def acted(number: int, did: str, step: str, state: str) -> dict[str, Any]:
    return {
        "event": "agent", "cutover": str(number), "did": did, "step": step, "state": state, "facts": {"by": "agent"},
        "reason": "it was sick", "seq": 0, "at": "t",
    }  # fmt: skip


def test_the_agent_may_set_an_interrupted_cutover_back() -> None:
    share = {"event": "share", "cutover": "2", "seq": 0, "facts": {"share": 5}}
    past = history(cutover(1, A, None), [*cutover(2, B, A, end=""), share, acted(2, "return", "admit", "admitted")])
    current = in_progress(past)
    assert current is not None
    assert (current.step, current.state, current.agent) == ("admit", "admitted", "return")
    assert current.facts == {"by": "agent"}, "shares that passed before count no more"
    assert recorded(past) == A


def test_a_live_release_that_the_agent_replaced_is_in_doubt() -> None:
    past = history(
        cutover(1, A, None), cutover(2, B, A), cutover(3, C, B), [acted(3, "standby", "", "rolled-back")],
        cutover(4, A, B, end="failed"),
    )  # fmt: skip
    assert recorded(past) == B
    assert last_good(past, B) == A
    replaced = left_by_agent(past)
    assert replaced is not None
    assert (replaced.release, replaced.error) == (C, "it was sick")
    later = history(cutover(1, A, None), cutover(2, B, A), [acted(2, "standby", "", "rolled-back")], cutover(3, C, A))
    assert left_by_agent(later) is None
    assert (recorded(later), last_good(later, C)) == (C, A)


def test_a_gate_that_the_agent_opened_belongs_to_no_cutover() -> None:
    opened = acted(0, "open", "", "")
    del opened["cutover"]
    assert [found.release for found in history([opened], cutover(1, A, None))] == [A]


def test_a_rolled_back_cutover_leaves_the_old_release_on_record() -> None:
    assert recorded(history(cutover(2, B, A, end="rolled-back"))) == A
    assert recorded([]) is None


def test_fields_of_a_newer_version_are_ignored() -> None:
    begin = {"event": "begin", "seq": 0, "at": "t", "cutover": "9", "kind": "switch", "strategy": "overlap"}
    known = {**begin, "colour": "green", "release": asdict(A), "previous": asdict(B), "plan": {}, "rollout": {}}
    newer = {**known, "newer": 1, "release": {**asdict(A), "newer": 1}, "previous": {**asdict(B), "newer": 1}}
    assert read([newer]) == read([known])
