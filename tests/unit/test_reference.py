"""The reference pages hold every variable, label and journal record that the code uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from batch import errors as batch_errors
from batch import settings as batch_settings
from build.cutover import cutover
from build.errors import CandidateExitedError
from build.model import hook_points, labels, states
from build.model.hook_points import Point
from build.model.rollout import Rollout
from build.model.states import State
from build.state.history import FIELDS, KINDS, Event
from tests.unit.build.cutover.test_canary_soak import busy
from tests.unit.build.fakes import NEW, OLD, Report, Target

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"
SETTINGS = "".join((REFERENCE / name).read_text() for name in ("settings.md", "service-settings.md"))
JOURNAL = (REFERENCE / "journal.md").read_text()
LABELS = (REFERENCE / "image-labels.md").read_text()
# Set in images by conda, or for one library; no command or stack reads them from outside.
INTERNAL = {"CONDA_DEFAULT_ENV", "CONDA_PREFIX", "CONTROL_EPOCH", "GRADIO_ANALYTICS_CACHE_FREQUENCY"}


def sources() -> Iterator[Path]:
    for package in ("batch", "build", "service"):
        yield from (ROOT / package).rglob("*.py")


def is_documented(variable: str) -> bool:
    return f"`{variable}`" in SETTINGS


def test_every_variable_that_a_program_reads_stands_in_a_reference_page() -> None:
    text = "".join(file.read_text() for file in sources())
    read = set(re.findall(r'environ(?:\.get\(|\[|\.setdefault\()"([A-Z_]+)"', text))
    assert "DOCKER_HOST" in read
    assert {name for name in read - INTERNAL if not is_documented(name)} == set()


def test_every_variable_of_the_stack_stands_in_a_reference_page() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    variables = set(re.findall(r"\$\{(\w+)|^\s+([A-Z][A-Z_]+):", compose, re.M))
    names = {name for pair in variables for name in pair if name}
    proxy = (ROOT / "proxy/hold.lua").read_text() + (ROOT / "proxy/haproxy.cfg").read_text()
    names |= set(re.findall(r'(?:getenv\("|\$\{)(\w+)', proxy))
    assert {"LINE_BLUE_IMAGE", "TTS_INSIDE", "HOLD_LONG_BYTES"} <= names
    assert {name for name in names if not is_documented(name)} == set()


def test_every_setting_and_exit_code_of_the_batch_client_stands_in_its_guide() -> None:
    guide = (ROOT / "docs/guides/batch.md").read_text()
    settings = guide.partition("## Settings")[2].partition("\n## ")[0]
    assert {name for name in batch_settings.Settings.model_fields if f"`{name}`" not in settings} == set()
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", guide.partition("## Exit codes")[2], re.M)}
    assert {kind.exit_code for kind in batch_errors.BatchError.__subclasses__()} <= codes


def test_every_label_stands_in_the_reference_page() -> None:
    files = [*sources(), *ROOT.glob("Dockerfile.*"), ROOT / "compose.yaml", *(ROOT / "scripts/lib").glob("*.sh")]
    used = {name for file in files for name in re.findall(r"ai\.glm-tts\.[a-z.-]*[a-z]", file.read_text())}
    assert {name for name in used if f"`{name}" not in LABELS} == set()
    known = labels.BASE_LABELS | labels.APP_LABELS | labels.OPTIONAL_LABELS
    constants = {value for name, value in vars(labels).items() if name.endswith("_LABEL")}
    assert constants <= set(known)


def test_the_labels_of_a_build_are_those_of_the_tables() -> None:
    """The builder's dictionaries of labels have the keys of the tables, read from its source."""
    source = (ROOT / "build/images/builder.py").read_text()
    keys = {
        ast.unparse(key)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if key
    }
    found = {str(getattr(labels, key)) for key in keys if key.endswith("_LABEL")}
    found |= {labels.OCI + ast.literal_eval(key.removeprefix("OCI + ")) for key in keys if key.startswith("OCI + ")}
    compatibility = {labels.TORCH_LABEL, labels.TORCH_CUDA_LABEL, labels.BASE_CUDA_LABEL, labels.MINIMUM_DRIVER_LABEL}
    assert found | compatibility | {labels.INPUTS_LABEL} == set(labels.BASE_LABELS) | set(labels.APP_LABELS)


def test_every_state_event_and_hook_has_a_meaning() -> None:
    assert set(states.MEANINGS) == set(State)
    assert set(KINDS) == set(Event)
    assert set(hook_points.MEANINGS) == set(Point)


def switch(target: Target, **options: Any) -> Target:
    cutover.run(cast(Any, target), Report(), "switch", lambda _history, _live: NEW, **options)
    return target


def canary() -> Target:
    return switch(busy(), rollout=Rollout(canary=(25,), soak_s=1))


def rollback() -> Target:
    target = switch(Target())
    cutover.run(cast(Any, target), Report(), "rollback", lambda _history, _live: OLD)
    return target


def hold() -> Target:
    target = Target()
    for container in target.colours.values():
        container.model, container.exits_on_stop = 8, True
    target.with_gpu(10)
    target.settings = target.settings.model_copy(update={"vram_margin_mb": 0.0})
    return switch(target)


def failed() -> Target:
    target = Target()
    target.proxy.hung = "green-1"
    with pytest.raises(CandidateExitedError):
        switch(target)
    return target


@pytest.mark.parametrize("make", [canary, rollback, hold, failed])
def test_records_have_the_fields_and_facts_of_the_reference_page(make: Callable[[], Target]) -> None:
    for record in make().records:
        kind = KINDS[Event(record["event"])]
        assert record.keys() - set(FIELDS) <= set(kind.fields), record
        assert set(kind.fields) - record.keys() <= {"facts"}, record
        assert {name for name in record.get("facts", {}) if f"`{name}`" not in JOURNAL} == set(), record


def test_the_runs_of_this_test_reach_every_strategy_and_most_events() -> None:
    records = [record for make in (canary, rollback, hold, failed) for record in make().records]
    assert {record["strategy"] for record in records if record["event"] == Event.BEGIN} == set(states.Strategy)
    assert set(Event) - {record["event"] for record in records} == {
        Event.AGENT,
        Event.PAUSED,
        Event.HOOK,
        Event.LOCK_BROKEN,
    }
