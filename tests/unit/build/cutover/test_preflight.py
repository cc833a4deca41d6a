"""Checks of a cutover before any change, all reported at once."""

from dataclasses import replace

import pytest

from build.cutover.rules.preflight import PreflightFacts, evaluate
from build.errors import CommandFailedError, ImageNotFoundError, OrchestratorError, PreflightError
from build.host import findings
from build.host.findings import Level
from build.model.colours import Colour
from build.model.placement import StackAddress
from tests.unit.build.fakes import NEW, OLD

ALL = frozenset(name for colour in Colour for name in (*colour.servers, *colour.standbys))
GOOD = PreflightFacts(
    release=NEW,
    idle=Colour.GREEN,
    live=Colour.BLUE,
    image=True,
    minimum_driver="525",
    drift="",
    drift_accepted=False,
    driver="550.54.14",
    servers=ALL,
    place=StackAddress(7860, "172.29.118"),
    published="127.0.0.1:7860",
    keys="",
    hold="none",
    unfinished=0,
    live_usable=True,
    serving=OLD,
    recorded=OLD,
    lost_runtime="",
    compose_error="",
    skew_s=0.4,
)


def test_a_sound_target_gives_no_finding() -> None:
    assert evaluate(GOOD) == []
    assert evaluate(replace(GOOD, live=None, serving=None, recorded=None, live_usable=False)) == []
    assert evaluate(replace(GOOD, minimum_driver="", driver="")) == []


PROBLEMS: list[tuple[dict[str, object], str, type[OrchestratorError]]] = [
    ({"image": False}, "is missing on the engine", ImageNotFoundError),
    ({"driver": "470.82.01"}, "driver 470.82.01 is older than 525", PreflightError),
    ({"servers": ALL - {"green-1", "blue-2-standby"}}, "lacks the servers blue-2-standby, green-1", PreflightError),
    ({"published": ""}, "not published", PreflightError),
    ({"keys": "none there"}, "cannot use the API keys in .*: none there", PreflightError),
    ({"hold": "all"}, r"holds requests \(mode all\)", PreflightError),
    ({"unfinished": 2}, "still has 2 requests", PreflightError),
    ({"lost_runtime": "nvidia"}, "no longer has the container runtime nvidia, with which blue runs", PreflightError),
    ({"compose_error": "bad indent"}, "invalid: bad indent", CommandFailedError),
]


@pytest.mark.parametrize(
    ("changes", "message", "error"), PROBLEMS, ids=[next(iter(changes)) for changes, _, _ in PROBLEMS]
)
def test_each_problem_refuses_with_a_reason_and_a_remedy(
    changes: dict[str, object], message: str, error: type[OrchestratorError]
) -> None:
    found = evaluate(replace(GOOD, **changes))  # type: ignore[arg-type]  # the fields of PreflightFacts
    with pytest.raises(error, match=message) as raised:
        findings.refuse(found)
    assert raised.value.remedy


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ImageNotFoundError) as raised:
        findings.refuse(evaluate(replace(GOOD, image=False, hold="long", unfinished=1)))
    assert all(word in raised.value.message for word in ("image:", "hold:", "idle:"))


@pytest.mark.parametrize(
    ("changes", "subject", "level"),
    [
        ({"driver": ""}, "driver", Level.NOT_VERIFIED),
        ({"live_usable": False}, "live", Level.WARNING),
        ({"recorded": NEW}, "record", Level.WARNING),
        ({"recorded": None}, "record", Level.WARNING),
        ({"published": "0.0.0.0:7860"}, "port", Level.WARNING),
        ({"skew_s": -90.0}, "clock", Level.WARNING),
    ],
)
def test_a_warning_is_reported_and_does_not_refuse(changes: dict[str, object], subject: str, level: Level) -> None:
    found = evaluate(replace(GOOD, **changes))  # type: ignore[arg-type]  # the fields of PreflightFacts
    assert [(finding.subject, finding.level) for finding in found] == [(subject, level)]
    findings.refuse(found)
