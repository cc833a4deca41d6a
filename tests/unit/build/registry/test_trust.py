"""Trust in a registry by the engine's rules, with TLS and HTTP servers on this machine."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from build.errors import RegistryError
from build.registry import trust_reader
from build.registry.client import Registry
from build.registry.retry import RetryPolicy
from build.registry.trust import Trust, is_insecure
from harness.certificates import Authority
from harness.faults import Faults, Reply, faults

MISSING: Reply = (404, {}, b"")
ONCE = RetryPolicy(attempts=1)


def engine(address: str, *, secure: bool = True, rootless: bool = False) -> dict[str, Any]:
    """`docker info` of a daemon with a configuration entry for this address."""
    return {
        "RegistryConfig": {"IndexConfigs": {address: {"Secure": secure}}, "InsecureRegistryCIDRs": ["127.0.0.0/8"]},
        "SecurityOptions": ["name=seccomp,profile=builtin", *(["name=rootless"] if rootless else [])],
    }


def empty(front: Faults) -> Faults:
    """An empty registry."""
    front.answer = lambda _method, _path: MISSING
    return front


def opened(address: str, trust: Trust) -> Registry:
    return Registry(address, ONCE, trust)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def certs_d(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(trust_reader, "CERTS_D", tmp_path / "certs.d")
    return tmp_path / "certs.d"


def place(folder: Path, **files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_bytes(content)


@pytest.mark.parametrize(
    ("address", "config", "found"),
    [
        ("127.0.0.1:5000", {}, True),
        ("127.0.0.1:5000", {"InsecureRegistryCIDRs": ["127.0.0.0/8"]}, True),
        ("127.0.0.1:5000", {"IndexConfigs": {"127.0.0.1:5000": {"Secure": True}}}, False),
        ("10.1.2.3:5000", {"InsecureRegistryCIDRs": ["127.0.0.0/8"]}, False),
        ("10.1.2.3:5000", {"InsecureRegistryCIDRs": ["127.0.0.0/8", "10.0.0.0/8"]}, True),
        ("10.1.2.3", {"IndexConfigs": {"10.1.2.3": {"Secure": False}}}, True),
        ("10.1.2.3:5001", {"IndexConfigs": {"10.1.2.3:5000": {"Secure": False}}}, False),
        ("[fd00::1]:5000", {"InsecureRegistryCIDRs": ["fd00::/8"]}, True),
        ("registry.example", {"IndexConfigs": {"registry.example": {"Secure": False}}}, True),
    ],
)
def test_a_registry_is_insecure_by_the_rule_of_the_daemon(address: str, config: dict[str, Any], found: bool) -> None:
    addresses = [address.strip("[").partition("]")[0] if "[" in address else address.partition(":")[0]]
    assert is_insecure(address, config, addresses) is found


def test_a_host_name_is_judged_by_its_addresses() -> None:
    networks = {"RegistryConfig": {"InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"]}}
    assert trust_reader.of("localhost:5000", networks).insecure
    assert not trust_reader.of("no-such-host.invalid:5000", networks).insecure


@pytest.mark.parametrize("rootless", [False, True])
def test_a_ca_certificate_in_certs_d_is_trusted(
    authority: Authority, certs_d: Path, tmp_path: Path, rootless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    home = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    with faults("", tls=authority.server()) as front:
        address, info = empty(front).address, engine(front.address, rootless=rootless)
        with pytest.raises(RegistryError, match=r"TLS with .* fails") as refused:
            opened(address, trust_reader.of(address, info, home)).digest("thing", "one")
        folder = (tmp_path / "config" / "docker" / "certs.d" if rootless else certs_d) / address
        assert refused.value.remedy == f"put the CA certificate of {address} into {folder}/ca.crt"

        place(folder, ca_crt=authority.certificate)
        assert opened(address, trust_reader.of(address, info, home)).digest("thing", "one") == ""
        # The CA is trusted only for the registry of its folder.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/dev/null")
        assert opened(address, trust_reader.of(address, info, home)).digest("thing", "one") == ""


def test_a_client_certificate_in_certs_d_is_used(authority: Authority, certs_d: Path) -> None:
    with faults("", tls=authority.server(clients=True)) as front:
        address, info = empty(front).address, engine(front.address)
        place(certs_d / address, ca_crt=authority.certificate)
        with pytest.raises(RegistryError, match=r"TLS with|does not answer"):
            opened(address, trust_reader.of(address, info)).digest("thing", "one")
        certificate, key = authority.pair("client")
        place(certs_d / address, client_cert=certificate.read_bytes())
        with pytest.raises(
            RegistryError, match=r"client\.cert is a client certificate without its key client\.key"
        ) as refused:
            trust_reader.of(address, info)
        assert "client.key" in refused.value.remedy
        place(certs_d / address, client_key=key.read_bytes())
        assert opened(address, trust_reader.of(address, info)).digest("thing", "one") == ""


def test_an_invalid_certificate_is_named(authority: Authority, certs_d: Path) -> None:
    place(certs_d / "registry.example", ca_crt=b"no PEM")
    with pytest.raises(RegistryError, match=r"cannot be used: .*ca\.crt"):
        Registry("registry.example", trust=trust_reader.of("registry.example", {}))


def test_for_a_remote_engine_the_remedy_names_this_machine_too(authority: Authority, certs_d: Path) -> None:
    with faults("", tls=authority.server()) as front:
        trust = trust_reader.of(front.address, engine(front.address), {"DOCKER_HOST": "ssh://deploy@far.example"})
        with pytest.raises(RegistryError, match="TLS with") as refused:
            opened(front.address, trust).digest("thing", "one")
    assert f"{certs_d}/{front.address}/ca.crt on this machine too" in refused.value.remedy
    assert "ssh://deploy@far.example" in refused.value.remedy


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_scheme_of_an_insecure_registry_is_detected(authority: Authority, scheme: str) -> None:
    tls: ssl.SSLContext | None = authority.server("192.0.2.1") if scheme == "https" else None
    with faults("", tls=tls) as front:
        registry = opened(empty(front).address, trust_reader.of(front.address, engine(front.address, secure=False)))
        assert registry.digest("thing", "one") == ""
        assert registry.tags("thing") == []
        probes = [path for _, path in front.requests if path == "/v2/"]
        assert len(probes) == (1 if scheme == "https" else 0), "the scheme is detected more than once"
