"""A target behind a real sshd: the connections of a command, and its end when the network fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from build.errors import EngineUnreachableError
from harness.ssh import Link, SshTarget, program, ssh_target
from harness.stack import Stack, fresh_stack, wait_for

# The command gives up after 20 s, on a busy machine later. Without keepalives it would wait without end.
BOUND_S = 60


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def own(scratch: Path) -> Iterator[Stack]:
    """A stack without containers."""
    with fresh_stack(scratch) as own:
        yield own


@pytest.fixture(scope="module")
def target(own: Stack, scratch: Path) -> Iterator[SshTarget]:
    with ssh_target(own, scratch) as target:
        alias = f"HostKeyAlias [127.0.0.1]:{target.port}"  # also for a link, which has another port
        own.env["PATH"] = f"{program(scratch, target, alias)}:{own.env['PATH']}"
        yield target


def test_the_sessions_of_a_command_share_one_connection_that_ends_with_it(own: Stack, target: SshTarget) -> None:
    before = target.logged("Accepted publickey")
    own.run("build.cutover", "status", "--json", DOCKER_HOST=f"ssh://{target.address}")
    own.run("build.doctor", DOCKER_HOST=f"ssh://{target.address}", check=False)
    assert target.logged("Accepted publickey") - before == 2
    wait_for("their ends", lambda: target.logged("Disconnected from user") == target.logged("Accepted publickey"))


def test_a_command_ends_with_an_error_when_the_network_fails(own: Stack, target: SshTarget) -> None:
    link = Link(target.port)
    address = f"ssh://root@127.0.0.1:{link.port}"
    watching = own.start("build.cutover", "status", "--watch", "--json", "--every", "0.2", DOCKER_HOST=address)
    try:
        assert watching.stdout
        assert watching.stdout.readline().startswith("{")
        link.fail()
        output, _ = watching.communicate(timeout=BOUND_S)
    finally:
        watching.kill()
        link.close()
    assert watching.returncode == EngineUnreachableError.exit_code
    assert f"error: the Docker daemon behind {address} does not answer" in output


def test_a_host_that_does_not_answer_ends_a_command(own: Stack, target: SshTarget) -> None:
    link = Link(target.port)
    link.fail()
    try:
        done = own.run("build.cutover", "status", check=False, DOCKER_HOST=f"ssh://root@127.0.0.1:{link.port}")
    finally:
        link.close()
    assert done.returncode == EngineUnreachableError.exit_code
    assert "Connection timed out" in done.stderr
