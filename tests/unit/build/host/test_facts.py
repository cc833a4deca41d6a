"""Facts about an engine on another machine: what this machine sees of itself does not count."""

from __future__ import annotations

import ipaddress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from build.host import facts, imagestore, machine
from build.host.findings import OWN_PROXY, HostFacts
from build.settings import Settings
from harness.stack import REPOSITORY

SETTINGS = Settings(root=REPOSITORY, project="p")
ROUTE = ipaddress.IPv4Network(SETTINGS.subnet)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Collect the facts of an engine whose containers publish the port; this machine uses port and subnet itself."""
    monkeypatch.setattr(machine, "can_bind", lambda *_address: False)
    monkeypatch.setattr(machine, "routes", lambda: [("eth0", ROUTE)])
    monkeypatch.setattr(machine, "gpu", lambda: "")
    monkeypatch.setattr(imagestore, "free_bytes", lambda _engine: None)
    monkeypatch.setattr(facts, "_plugin", lambda _name: "2.0.0")

    def collect(address: str, *publishers: str) -> HostFacts:
        monkeypatch.setenv("DOCKER_HOST", address)
        client = SimpleNamespace(
            containers=SimpleNamespace(list=lambda **_filter: [SimpleNamespace(name=name) for name in publishers]),
            networks=SimpleNamespace(list=list),
            api=SimpleNamespace(images=lambda **_filter: []),
        )
        return facts.host_facts(SETTINGS, cast(Any, SimpleNamespace(client=client, info=dict)))

    return collect


@pytest.mark.parametrize(
    ("address", "publishers", "owner", "unknown"),
    [
        ("unix:///x.sock", [], "another process", False),
        ("ssh://target", [], "", True),
        ("ssh://target", ["p-proxy-1"], OWN_PROXY, False),
        ("ssh://target", ["nginx"], "the container nginx", False),
    ],
)
def test_the_port_of_another_machine_is_known_only_from_its_containers(
    found: Any, address: str, publishers: list[str], owner: str, unknown: bool
) -> None:
    host = found(address, *publishers)
    assert (host.port_owner, host.port_unknown) == (owner, unknown)


def test_the_routes_of_this_machine_do_not_matter_on_another_one(found: Any) -> None:
    assert "eth0" in found("unix:///x.sock").subnet_overlaps
    remote = found("ssh://target")
    assert (remote.subnet_overlaps, remote.routes_unknown) == ("", True)
