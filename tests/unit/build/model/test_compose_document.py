"""The description of a running stack comes from its containers' labels, whatever compose.yaml says now."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from build.model.compose_document import DEFINITION_LABEL, changes, from_label, labelled, running

COLOURS = ["app-blue", "app-green"]


def rendered(image: str = "old", rpm: str = "", subnet: str = "10.0.0") -> dict[str, Any]:
    def app(name: str) -> dict[str, Any]:
        return {"image": image, "environment": {"RPM": rpm, "PRICE": "5$$"}, "profiles": [name]}

    return {
        "name": "p",
        "services": {"proxy": {"image": image}, **{f"app-{name}": app(name) for name in ("blue", "green")}},
        "networks": {"tts": {"subnet": subnet}},
        "volumes": {},
    }


def started(document: dict[str, Any], *services: str) -> dict[str, str]:
    """The labels of containers that Compose starts from a document: it replaces $$ by $."""
    return {
        name: document["services"][name]["labels"][DEFINITION_LABEL].replace("$$", "$") for name in services
    }  # fmt: skip


def test_a_running_container_keeps_the_definition_that_started_it() -> None:
    before = running(rendered(), None, {}, planned=COLOURS)
    containers = started(before, "proxy", "app-blue")
    pulled = rendered(image="new", rpm="60", subnet="10.0.1")
    after = running(pulled, before, containers, planned=["app-green"])
    for name in ("proxy", "app-blue"):
        assert after["services"][name] == before["services"][name]
    assert after["networks"] == {"tts": {"subnet": "10.0.0"}}
    green = after["services"]["app-green"]
    assert (green["image"], green["environment"]["RPM"]) == ("new", "60")
    # The candidate's label describes the network that exists, not the one of the pulled file.
    assert from_label(started(after, "app-green")["app-green"])["networks"] == {"tts": {"subnet": "10.0.0"}}


def test_a_second_clone_derives_the_same_description() -> None:
    first = running(rendered(), None, {}, planned=COLOURS)
    second = running(rendered(image="other", rpm="9"), None, started(first, *first["services"]))
    assert second == first


def test_without_a_container_a_colour_keeps_its_stored_definition() -> None:
    stored = running(rendered(), None, {}, planned=COLOURS)
    again = running(rendered(image="new"), stored, {}, kept=COLOURS)
    assert again["services"]["app-blue"] == stored["services"]["app-blue"]
    assert again["services"]["proxy"]["image"] == "new"


def test_a_container_without_a_label_takes_the_rendered_definition() -> None:
    found = running(rendered(), None, {"app-blue": "", "proxy": ""})
    assert found["services"]["app-blue"]["image"] == "old"


def test_the_service_of_an_older_compose_file_stays_while_its_container_exists() -> None:
    older = rendered()
    older["services"]["state"] = {"image": "old"}
    labels = started(labelled(older), "state")
    assert "state" in running(rendered(), None, labels)["services"]
    assert "state" not in running(rendered(), None, {})["services"]


def test_a_label_survives_its_container() -> None:
    document = labelled(rendered())
    label = started(document, "app-blue")["app-blue"]
    assert from_label(label)["services"]["app-blue"] == document["services"]["app-blue"]
    assert json.loads(label)["services"]["app-blue"]["environment"]["PRICE"] == "5$$"
    assert labelled(deepcopy(document)) == document


def test_changes_name_environment_mounts_and_runtime_only() -> None:
    old = {
        "image": "a",
        "stop_grace_period": "1s",
        "environment": {"RPM": "60", "CPM": None},
        "volumes": [{"source": "empty", "target": "/models"}],
        "runtime": "nvidia",
    }
    new = {
        "image": "b",
        "stop_grace_period": "2s",
        "environment": {"RPM": "90", "CPM": ""},
        "volumes": [{"source": "/srv/models", "target": "/models"}],
        "runtime": "runc",
    }
    assert changes(old, new) == ["/models empty -> /srv/models", "RPM 60 -> 90", "runtime nvidia -> runc"]
    assert changes(old, old) == []
