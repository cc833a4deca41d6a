"""Images without build tools, containers without privileges, and plain Compose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from build.docker.engine import DockerEngine
from build.errors import CommandFailedError
from build.target.container import ServiceContainer
from harness.audio_asserts import fault_in_wav
from harness.stack import Stack, fresh_stack, wait_for


@pytest.fixture(scope="module")
def app(stack: Stack) -> Any:
    return stack.live_app()


def run(container: Any, *argv: str) -> tuple[int, str]:
    code, output = container.exec_run(list(argv))
    return code, output.decode()


def test_the_conda_environment_is_active_in_the_service(app: Any) -> None:
    environment = dict(line.split("=", 1) for line in run(app, "env")[1].splitlines())
    assert environment["CONDA_DEFAULT_ENV"] == "tts"
    assert environment["PATH"].startswith(f"{environment['CONDA_PREFIX']}/bin:")
    code, output = run(app, "python", "-c", "import sys; print(sys.prefix)")
    assert (code, output.strip()) == (0, environment["CONDA_PREFIX"])


def test_activation_scripts_are_applied(app: Any) -> None:
    hooks = run(app, "sh", "-c", "cat $CONDA_PREFIX/etc/conda/activate.d/*.sh")[1]
    exported = re.findall(r"export (\w+)=", hooks)
    assert exported
    # The child of tini is the service that with-env executed.
    service = run(app, "sh", "-c", "tr '\\0' '\\n' </proc/$(cat /proc/1/task/1/children | cut -d' ' -f1)/environ")[1]
    assert {line.split("=")[0] for line in service.splitlines()} >= set(exported)


def test_an_init_is_pid_1_and_nothing_runs_as_root(app: Any) -> None:
    assert run(app, "cat", "/proc/1/comm") == (0, "tini\n")
    assert run(app, "id", "-u") == (0, "10001\n")


@pytest.mark.parametrize("tool", ["gcc", "cc", "make", "ld", "git", "uv"])
def test_the_image_has_no_build_tools(app: Any, tool: str) -> None:
    assert run(app, "sh", "-c", f"command -v {tool}")[0] != 0


@pytest.mark.parametrize("service", ["proxy", "agent", "app"])
def test_folders_of_volumes_are_empty_in_the_image(stack: Stack, service: str) -> None:
    # Docker copies an image's content into a new volume; two containers that start together would do so at once.
    container = stack.live_app() if service == "app" else stack.container(service)
    folders = [mount["Destination"] for mount in container.attrs["Mounts"] if mount["Type"] == "volume"]
    assert folders
    script = 'for folder; do if [ -d "$folder" ]; then find "$folder" -mindepth 1; fi; done'
    found = stack.docker.containers.run(
        container.image, entrypoint=["sh", "-c", script, "sh"], command=folders, network="none", remove=True
    )
    assert found == b""


def test_the_image_has_no_package_cache_and_no_secret(app: Any) -> None:
    places = "/var/lib/apt/lists /var/cache/apt/archives /root /cache /run/secrets /channel /wheels /src"
    script = f"for place in {places}; do [ ! -e $place ] || find $place -type f -size +0; done"
    code, output = app.exec_run(["sh", "-c", script], user="0")
    assert code == 0
    remaining = {line for line in output.decode().split() if not line.startswith(("/root/.bashrc", "/root/.profile"))}
    assert remaining == set()


def test_the_image_has_labels_of_its_inputs(stack: Stack, app: Any) -> None:
    labels, status = app.image.labels, stack.status()
    assert labels["org.opencontainers.image.revision"] == status["colours"][status["live"]]["release"]["sha"]
    assert labels["org.opencontainers.image.base.digest"].startswith("sha256:")
    assert labels["ai.glm-tts.flavour"] == "slim"
    source = run(app, "cat", "/opt/locks/conda-source")[1].strip()
    assert source in {"stand-in", "channel"}
    assert ("conda" in labels["ai.glm-tts.standin"]) == (source == "stand-in")


def layers(stack: Stack, sha: str) -> list[str]:
    found: list[str] = stack.docker.images.get(f"glm-tts-slim:{sha}").attrs["RootFS"]["Layers"]
    return found


def test_two_builds_of_a_commit_give_the_same_image(stack: Stack) -> None:
    stack.release("built twice")
    images = [stack.run("build.images").stdout.split()[1] for _ in range(2)]
    assert images[0] == images[1]


def test_a_change_in_code_is_one_small_layer(stack: Stack) -> None:
    old, new = stack.release("one line"), stack.release("another line")
    fresh = set(layers(stack, new)) - set(layers(stack, old))
    assert len(fresh) == 1
    history = stack.docker.images.get(f"glm-tts-slim:{new}").history()
    assert next(step["Size"] for step in history if step["Size"]) < 1_000_000


def test_containers_have_no_privileges_and_only_the_proxy_a_port(stack: Stack) -> None:
    for name in stack.containers():
        attrs = stack.docker.containers.get(name).attrs
        host, config = attrs["HostConfig"], attrs["Config"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert config["User"].split(":")[0] not in {"", "0", "root"}, name
        assert not host["Privileged"]
        assert not any("docker.sock" in mount["Source"] for mount in attrs["Mounts"]), name
        published = [binding for bindings in (host["PortBindings"] or {}).values() for binding in bindings]
        expected = [("127.0.0.1", str(stack.port))] if "-proxy-" in name else []
        assert [(binding["HostIp"], binding["HostPort"]) for binding in published] == expected, name


def test_the_health_check_runs_an_inference(app: Any) -> None:
    code, output = run(app, "python", "-m", "service.probe", "health")
    assert code == 0
    assert "inference" in output or "spoke" in output
    wait_for("Docker's health status", lambda: _health(app) == "healthy")


def _health(container: Any) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


@pytest.fixture(scope="module")
def bare(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A clone without images and containers."""
    scratch: Path = tmp_path_factory.mktemp("bare")
    with fresh_stack(scratch, beside=stack) as bare:
        yield bare


def test_a_synthesis_on_a_paused_container_is_an_error(app: Any) -> None:
    replica = ServiceContainer(DockerEngine(), app.name)
    assert replica.speak("Good evening.", "joe", timeout_s=30).wav
    app.pause()
    try:
        response = replica.speak("Good evening.", "joe", timeout_s=30)
    finally:
        app.unpause()
    assert not response.wav
    assert "is paused" in response.error


def test_without_an_image_compose_refers_to_make_up(bare: Stack) -> None:
    with pytest.raises(CommandFailedError) as refused:
        bare.compose("up", "-d")
    assert "run `make up`" in refused.value.detail


def test_compose_alone_starts_the_stack_and_a_switch_replaces_the_release(bare: Stack) -> None:
    first = bare.release("compose alone")
    bare.compose("up", "-d")
    body = {"model": "tts-1", "voice": "joe", "input": "Up by Compose alone.", "response_format": "wav"}

    def speaks() -> requests.Response | None:
        try:
            answer = requests.post(f"{bare.url}/v1/audio/speech", json=body, timeout=60)
        except requests.ConnectionError:
            return None
        return answer if answer.ok else None

    answer = wait_for("speech", speaks)
    assert fault_in_wav(answer.content, 0.5) == ""
    assert answer.headers["X-Release"] == first
    second = bare.release("and a switch")
    bare.run("build.cutover", "switch")
    status = bare.status()
    assert (status["live"], status["last_good"]["sha"]) == ("green", first)
    assert speaks().headers["X-Release"] == second  # type: ignore[union-attr]  # it has answered before
    before = bare.containers()
    bare.compose("up", "-d")
    assert bare.containers() == before
    bare.compose("--profile", "*", "down")
    bare.compose("up", "-d")
    assert wait_for("speech after down and up", speaks).headers["X-Release"] == second
    assert json.loads(bare.run("build.cutover", "status", "--json").stdout)["live"] == "green"
