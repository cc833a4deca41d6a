"""Findings of doctor about a host, and the errors that commands raise for them."""

from dataclasses import replace

import pytest

from build.errors import DiskFullError, EngineUnreachableError, PortTakenError
from build.host.findings import GB, OWN_PROXY, HostFacts, Level, disk, evaluate, refuse, unlisted, version

FIT = HostFacts(
    engine_version="26.1.5+dfsg1",
    compose_version="2.26.1",
    buildx_version="0.13.1",
    storage_driver="overlay2",
    free_bytes=50 * GB,
    port=7860,
    subnet="10.0.0.0/24",
    gpu="NVIDIA L4, 550.54",
)


def levels(facts: HostFacts) -> dict[str, Level]:
    return {finding.subject: finding.level for finding in evaluate(facts, needed_bytes=4 * GB)}


def test_every_finding_of_a_fit_host_is_ok() -> None:
    assert set(levels(FIT).values()) == {Level.OK}


@pytest.mark.parametrize(
    ("change", "subject", "level"),
    [
        ({"engine_version": "25.0.3"}, "engine", Level.PROBLEM),
        ({"rootless": True}, "rootless", Level.WARNING),
        ({"compose_version": ""}, "compose", Level.PROBLEM),
        ({"buildx_version": ""}, "buildx", Level.PROBLEM),
        ({"free_bytes": 3 * GB}, "disk", Level.PROBLEM),
        ({"free_bytes": None}, "disk", Level.NOT_VERIFIED),
        ({"port_owner": "another process"}, "port", Level.PROBLEM),
        ({"address": "192.0.2.1", "address_missing": True, "port_owner": "x"}, "publish", Level.PROBLEM),
        ({"port_owner": OWN_PROXY, "port_unknown": False}, "port", Level.OK),
        ({"port_unknown": True}, "port", Level.NOT_VERIFIED),
        ({"port_owner": "the container x", "port_unknown": True}, "port", Level.PROBLEM),
        ({"routes_unknown": True}, "subnet", Level.NOT_VERIFIED),
        ({"routes_unknown": True, "subnet_overlaps": "the Docker network x"}, "subnet", Level.PROBLEM),
        ({"subnet_overlaps": "the Docker network x"}, "subnet", Level.PROBLEM),
        ({"gpu": ""}, "gpu", Level.NOT_VERIFIED),
        ({"standins": ("os",)}, "standin:os", Level.NOT_VERIFIED),
    ],
)
def test_each_shortcoming_changes_one_finding(change: dict[str, object], subject: str, level: Level) -> None:
    found = levels(replace(FIT, **change))  # type: ignore[arg-type]  # names and types as in HostFacts
    assert found[subject] is level
    assert {found_level for name, found_level in found.items() if name != subject} == {Level.OK}


def test_without_an_engine_there_is_no_other_finding() -> None:
    assert levels(HostFacts(engine_error="refused")) == {"engine": Level.PROBLEM}


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        (replace(FIT, engine_error="refused", engine_remedy="start it"), EngineUnreachableError),
        (replace(FIT, free_bytes=1), DiskFullError),
        (replace(FIT, port_owner="x"), PortTakenError),
    ],
)
def test_a_problem_is_raised_as_its_own_error_with_the_remedy(facts: HostFacts, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        refuse(evaluate(facts, needed_bytes=GB))
    assert raised.value.remedy  # type: ignore[attr-defined]  # every one is an OrchestratorError


def test_several_problems_are_reported_together() -> None:
    facts = replace(FIT, port_owner="nginx", subnet_overlaps="a VPN")
    with pytest.raises(PortTakenError, match=r"nginx.*a VPN"):
        refuse(evaluate(facts, needed_bytes=GB))


def test_warnings_and_unverified_findings_do_not_raise() -> None:
    refuse(evaluate(replace(FIT, rootless=True, gpu=""), needed_bytes=GB))
    refuse(disk(FIT, 50 * GB))


def test_unverified_findings_must_be_listed() -> None:
    found = evaluate(replace(FIT, gpu="", standins=("os", "conda")), needed_bytes=GB)
    known = "# why\ngpu  none here\nstandin:os  Debian\n"
    assert unlisted(found, known) == ["standin:conda"]
    assert unlisted(found, known + "standin:conda  ours\n") == []
    assert unlisted(evaluate(FIT, needed_bytes=GB), "") == []


@pytest.mark.parametrize(
    ("text", "numbers"), [("26.1.5+dfsg1", (26, 1, 5)), ("v2.26.1-desktop.1", (2, 26, 1)), ("dev", ())]
)
def test_versions_of_all_formats_are_parsed(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text) == numbers
