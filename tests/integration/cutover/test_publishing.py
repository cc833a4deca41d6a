"""A stack that is published beyond loopback, with API keys."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from build.docker.engine import DockerEngine
from build.errors import GateRefusedError, NotHealthyError, PreflightError, SettingsError
from build.proxy.haproxy import HAProxy
from harness.audio_asserts import fault_in_wav
from harness.load import authorization, hammering
from harness.releases import OPEN, derived
from harness.stack import Stack, fresh_stack, wait_for
from service.keys import new

pytestmark = pytest.mark.alone

ANNA, ANNAS_LINE = new("anna", {"rpm": 0})
BERT, BERTS_LINE = new("bert", {"rpm": 2})
DORA, DORAS_LINE = new("dora", {})
DEFAULT_RPM = 9  # requests per minute of a key without a limit of its own
BODY = {"model": "tts-1", "voice": "joe", "input": "Good morning.", "response_format": "wav"}
FEW = "4"


@pytest.fixture(scope="module")
def published(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on an address that is not loopback but can only be reached from this machine."""
    scratch: Path = tmp_path_factory.mktemp("published")
    with fresh_stack(scratch, beside=stack) as published:
        bridge = published.docker.networks.get("bridge").attrs["IPAM"]["Config"][0]
        published.host = str(ipaddress.IPv4Network(bridge["Subnet"])[1])
        folder = scratch / "keys"
        folder.mkdir(mode=0o755)
        published.env |= {"PUBLISH": published.host, "KEYS_FOLDER": str(folder), "CUTOVER_GATE_SYNTHESES": "1"}
        published.env["CUTOVER_CLIENT_RPM"] = str(DEFAULT_RPM)
        replace(published, ANNAS_LINE, BERTS_LINE, DORAS_LINE)
        published.release("published")
        published.run("build.cutover", "switch")
        yield published


def keys(stack: Stack) -> Path:
    return Path(stack.env["KEYS_FOLDER"]) / "api-keys"


def replace(stack: Stack, *lines: str) -> None:
    """Replace the key file by a rename, as an editor or a deployment tool does."""
    fresh = keys(stack).with_suffix(".new")
    fresh.write_text("\n".join(lines) + "\n")
    fresh.chmod(0o644)
    fresh.rename(keys(stack))


@contextmanager
def without_keys(stack: Stack) -> Iterator[None]:
    aside = keys(stack).rename(keys(stack).with_suffix(".aside"))
    try:
        yield
    finally:
        aside.rename(keys(stack))


def speak(stack: Stack, key: str = "", **headers: str) -> requests.Response:
    return requests.post(f"{stack.url}/v1/audio/speech", json=BODY, headers=authorization(key) | headers, timeout=60)


def live_sha(stack: Stack) -> str:
    status = stack.status()
    return str(status["colours"][status["live"]]["release"]["sha"])


def test_only_requests_with_a_valid_key_are_served(published: Stack) -> None:
    assert fault_in_wav(speak(published, ANNA).content, 0.3) == ""
    for key in ("", "tts_wrong", ANNA[:-1]):
        refused = speak(published, key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    page = requests.get(published.url, timeout=20)
    assert (page.status_code, page.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert requests.get(published.url, auth=("anna", ANNA), timeout=20).status_code == 200


def test_a_forged_client_address_does_not_replace_a_key(published: Stack) -> None:
    prefix = published.env["SUBNET_PREFIX"]
    for inside in ("127.0.0.1", f"{prefix}.11", f"{prefix}.2"):
        assert speak(published, **{"X-Forwarded-For": inside}).status_code == 401
        assert speak(published, **{"Forwarded": f"for={inside}", "X-Real-IP": inside}).status_code == 401


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/%6detrics", "//metrics", "/./readyz", "/v1/../metrics"])
def test_internal_paths_are_not_published(published: Stack, path: str) -> None:
    with requests.Session() as session:
        for key in ("", ANNA):
            request = requests.Request("GET", published.url, headers=authorization(key)).prepare()
            request.url = published.url + path  # not normalized
            answer = session.send(request, timeout=20)
            assert answer.status_code in ((404,) if key else (401, 404))
            assert "tts_" not in answer.text
            assert "release" not in answer.text


def test_responses_do_not_name_the_release(published: Stack) -> None:
    for answer in (speak(published, ANNA), speak(published)):
        assert "X-Release" not in answer.headers
        assert answer.headers["X-Request-Id"]


def test_a_replaced_key_file_applies_at_once_without_a_restart(published: Stack) -> None:
    before = published.containers()
    carla, carlas_line = new("carla", {})
    assert speak(published, carla).status_code == 401
    replace(published, BERTS_LINE, carlas_line)
    try:
        assert speak(published, carla).status_code == 200
        assert speak(published, ANNA).status_code == 401, "revoked"
        keys(published).write_text("anna")
        assert speak(published, carla).status_code == 200, "a broken file does not replace the keys"
    finally:
        replace(published, ANNAS_LINE, BERTS_LINE, DORAS_LINE)
    assert speak(published, ANNA).status_code == 200
    assert published.containers() == before


def test_a_key_has_its_own_limits(published: Stack) -> None:
    assert [speak(published, BERT).status_code for _ in range(3)] == [200, 200, 429]
    assert int(speak(published, BERT).headers["Retry-After"]) > 0
    assert speak(published, ANNA).status_code == 200


def test_a_key_without_a_limit_has_the_default_limit(published: Stack) -> None:
    assert [speak(published, DORA).status_code for _ in range(DEFAULT_RPM + 1)] == [200] * DEFAULT_RPM + [429]
    assert {speak(published, ANNA).status_code for _ in range(DEFAULT_RPM + 1)} == {200}


def test_a_cutover_needs_no_key_and_clients_with_keys_lose_nothing(published: Stack) -> None:
    before, sha = live_sha(published), published.release("a canary among keys")
    published.run("build.cutover", "switch", "--canary", "50", CUTOVER_CANARY_SAMPLES=FEW)
    share = next(record["facts"] for record in reversed(published.journal()) if record["event"] == "share")
    for side in ("candidate", "live"):
        assert share[side]["sent"] >= int(FEW)
        assert share[side]["failed"] == 0
    assert (share["observed"], live_sha(published)) == (0, sha)
    verified = [
        record for record in published.journal() if record.get("step") == "verify" and record["event"] == "done"
    ]
    assert verified[-1]["facts"]["client_status"] == 401
    containers = published.containers()
    published.compose("up", "-d")
    assert published.containers() == containers
    with hammering(published.url, 2, key=ANNA) as load:
        wait_for("traffic", lambda: len(load.report.samples) > 2)
        published.run("build.cutover", "rollback")
    assert load.report.failed == [], load.report.summary()
    assert live_sha(published) == before


def test_a_release_that_serves_clients_without_a_key_is_refused(published: Stack) -> None:
    before = live_sha(published)
    done = published.run("build.cutover", "switch", derived(published, "open", OPEN), "--unverified", check=False)
    assert done.returncode == GateRefusedError.exit_code, done.stderr
    assert "answers 200 instead of 401 to a client without an API key" in " ".join(done.stderr.split())
    assert live_sha(published) == before
    assert speak(published).status_code == 401


def test_a_release_that_cannot_read_the_keys_is_refused_before_any_change(published: Stack) -> None:
    before = published.containers()
    published.release("without keys")
    with without_keys(published):
        done = published.run("build.cutover", "switch", check=False)
    assert done.returncode == PreflightError.exit_code, done.stderr
    error = " ".join(done.stderr.split())
    assert f"cannot use the API keys in {published.env['KEYS_FOLDER']}" in error
    assert "No such file" in error
    assert "python -m service.keys new NAME" in error
    assert published.containers() == before
    assert speak(published, ANNA).status_code == 200


def test_publishing_without_keys_is_refused_by_every_command(published: Stack) -> None:
    done = published.run("build.cutover", "status", check=False, KEYS_FOLDER="")
    assert done.returncode == SettingsError.exit_code
    assert "PUBLISH in the environment" in done.stderr


def test_the_address_and_keys_of_a_running_stack_do_not_change(published: Stack) -> None:
    done = published.run("build.cutover", "switch", check=False, PUBLISH="127.0.0.1", KEYS_FOLDER="")
    assert done.returncode == SettingsError.exit_code
    error = " ".join(done.stderr.split())
    assert f"the running proxy is at {published.host}:{published.port}" in error
    assert "127.0.0.1" in error
    assert "without API keys" in error


def test_every_colour_knows_its_published_address(published: Stack) -> None:
    environment = published.live_app().attrs["Config"]["Env"]
    assert {f"TTS_PUBLISHED={published.host}", "TTS_API_KEYS=/run/keys/api-keys"} <= set(environment)


def test_a_published_service_without_keys_does_not_start(published: Stack) -> None:
    image = f"glm-tts-slim:{published.releases[0]}"
    with pytest.raises(Exception, match="set TTS_API_KEYS to a key file") as failed:
        published.docker.containers.run(image, environment={"TTS_PUBLISHED": published.host}, remove=True)
    assert getattr(failed.value, "exit_status", None) == 2


def test_hello_sends_a_key_and_fails_without_one(published: Stack, tmp_path: Path) -> None:
    done = published.run("build.hello", check=False)
    assert done.returncode == NotHealthyError.exit_code
    assert "TTS_API_KEY" in done.stderr
    assert published.run("build.hello", TTS_API_KEY=ANNA).returncode == 0
    (tmp_path / "key").write_text(f"{ANNA}\n")
    done = published.run("build.hello", "--api-key-file", str(tmp_path / "key"))
    assert published.url in done.stdout
    assert ANNA not in done.stdout + done.stderr


@pytest.fixture
def limited(published: Stack) -> Iterator[Any]:
    """A service that limits each address, in its own slot and alone in rotation."""
    prefix, live = published.env["SUBNET_PREFIX"], f"{published.status()['live']}-1"
    network = published.docker.networks.get(f"{published.project}_tts")
    container = published.docker.containers.create(
        f"glm-tts-slim:{published.releases[0]}",
        name=f"{published.project}-limited",
        labels={"com.docker.compose.project": published.project},
        environment={"TTS_PROXY": f"{prefix}.2", "TTS_CLIENT_RPM": "2"},
        tmpfs={"/run/service": "size=1m,mode=0700,uid=10001,gid=10001"},
    )
    network.connect(container, ipv4_address=f"{prefix}.12")
    published.docker.networks.get("bridge").disconnect(container)
    container.start()
    with published.locked("limits") as agent:
        proxy = HAProxy(DockerEngine(), published.container("proxy").name, agent)
        proxy.demand_check("blue-2")  # a server out of maintenance counts as up until a check has failed
        wait_for("the limited service", lambda: proxy.servers()["blue-2"].up)
        proxy.set_admins(("blue-2", "ready"), (live, "maint"))
        try:
            yield container
        finally:
            proxy.set_admins((live, "ready"), ("blue-2", "maint"))
        wait_for("the live release", lambda: proxy.servers()[live].usable)
        container.remove(force=True)


def test_limits_apply_to_the_real_address(published: Stack, limited: Any) -> None:
    forged = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(3)]
    assert [speak(published, **headers).status_code for headers in forged] == [200, 200, 429]
    script = (
        "import urllib.request as r;"
        f"print(r.urlopen(r.Request('http://{published.env['SUBNET_PREFIX']}.2:8080/v1/audio/speech',"
        f"{json.dumps(BODY).encode()!r}, {{'Content-Type': 'application/json'}})).status)"
    )
    assert limited.exec_run(["python", "-c", script]).output.decode().strip() == "200", (
        "another address has its own limit"
    )
