"""Compose documents of a stack: each container carries the definition that created it in a label.

Compose recreates a container whose definition has changed. The definitions of running containers are therefore read
back from the containers, never rendered again from compose.yaml and the current settings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

# A document as `docker compose config --format json` prints it: a literal $ is written as $$.
Document = dict[str, Any]

DEFINITION_LABEL = "ai.glm-tts.compose"  # on every container of the stack
SECTIONS = ("services", "networks", "volumes")


def definition(document: Document, service: str) -> Document:
    """Return the part of a document that one service needs."""
    return {**_shared(document), "services": {service: document["services"][service]}}


def _shared(document: Document) -> Document:
    return {section: document.get(section) or {} for section in SECTIONS}


def labelled(document: Document) -> Document:
    """Return the document with its definition in a label of each service that has none."""
    services = {
        name: service
        if DEFINITION_LABEL in (service.get("labels") or {})
        else _with_label(service, json.dumps(definition(document, name), sort_keys=True, separators=(",", ":")))
        for name, service in document["services"].items()
    }
    return {**document, "services": services}


def from_label(text: str) -> Document:
    """Return the document of one service from the label of its container."""
    document: Document = json.loads(text)
    services = {name: _with_label(service, text) for name, service in document["services"].items()}
    return {**document, "services": services}


def _with_label(service: Mapping[str, Any], text: str) -> dict[str, Any]:
    labels = {**(service.get("labels") or {}), DEFINITION_LABEL: text.replace("$", "$$")}
    return {**service, "labels": labels}


def merged(base: Document, parts: Iterable[Document]) -> Document:
    """Return the document with the services, networks and volumes of the parts in place of its own."""
    document = _shared(base)
    for part in parts:
        document = {section: {**document[section], **(part.get(section) or {})} for section in SECTIONS}
    return document


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Describe the differences of two services that settings cause: environment, mounts and runtime."""
    before, after = _settings(old), _settings(new)
    return [
        f"{name} {before.get(name) or 'unset'} -> {after.get(name) or 'unset'}"
        for name in sorted(before.keys() | after.keys())
        if (before.get(name) or "") != (after.get(name) or "")
    ]


def _settings(service: Mapping[str, Any]) -> dict[str, str]:
    mounts = {volume["target"]: volume.get("source", "") for volume in service.get("volumes") or []}
    environment = {name: value or "" for name, value in (service.get("environment") or {}).items()}
    return {**environment, **mounts, "runtime": service.get("runtime") or ""}


def running(
    rendered: Document | None,
    stored: Document | None,
    containers: Mapping[str, str],
    *,
    planned: Collection[str] = (),
    kept: Collection[str] = (),
) -> Document:
    """Return the description of the running stack.

    Args:
        rendered: compose.yaml with the current settings; None if the stored description has all services.
        stored: the stored description.
        containers: label by service of each existing container; "" for a container without one.
        planned: services that start from `rendered` next.
        kept: services that keep their stored definition while they have no container.
    """
    base = rendered or stored or {}
    parts = [definition(stored, name) for name in kept if stored and name in stored["services"]]
    parts += [from_label(label) for label in containers.values() if label]
    current = merged(base, parts)
    fresh = {name: base["services"][name] for name in planned}
    return labelled({**current, "services": {**current["services"], **fresh}})
