"""One ssh connection for a command's sessions with its engine."""

from __future__ import annotations

import atexit
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from build.docker import daemon

ADDRESS = "ssh://op@gpu-box:2222"
DIAL = ("-l", "op", "-p", "2222", "--", "gpu-box")


class Ssh:
    """A program `ssh` first on PATH that logs its arguments; `open` is its exit code for `-O check`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        self.environ = {"PATH": f"{folder}/bin:/usr/bin:/bin", "DOCKER_HOST": ADDRESS}
        self.answers(255)

    def answers(self, code: int) -> None:
        program = self.folder / "bin/ssh"
        program.write_text(f'#!/bin/sh\necho "$*" >>{self.folder}/called\nexit {code}\n')
        program.chmod(0o755)

    def called(self, *args: str) -> str:
        """The arguments that reach ssh when a program with this environment runs `ssh`."""
        self.answers(0)
        subprocess.run(["ssh", *args], env=self.environ, check=True)
        return (self.folder / "called").read_text().splitlines()[-1]


@pytest.fixture
def ssh(tmp_path: Path) -> Ssh:
    return Ssh(tmp_path)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[object, ...]]]:
    """What the end of the process would close."""
    registered: list[tuple[object, ...]] = []
    monkeypatch.setattr(atexit, "register", lambda *call: registered.append(call))
    yield registered
    for *_, folder in registered:
        shutil.rmtree(str(folder), ignore_errors=True)


def test_each_connection_to_the_engine_is_shared_and_ends_soon_after_the_network_fails(
    ssh: Ssh, closed: list[tuple[object, ...]]
) -> None:
    daemon.settle(ssh.environ)
    # The docker command line passes a time limit of its own; ssh takes the first value.
    sent = ssh.called("-o", "ConnectTimeout=30", "-T", *DIAL, "docker", "system", "dial-stdio")
    options, own = sent.split(" -o ConnectTimeout=30 ")
    assert own == "-T -l op -p 2222 -- gpu-box docker system dial-stdio"
    assert "ConnectTimeout=10" in options
    assert "ServerAliveInterval=3" in options
    assert "ServerAliveCountMax=2" in options
    assert "ControlMaster=auto" in options
    (_close, _program, folder) = closed[0]
    assert f"ControlPath={folder}/%C" in options
    assert ssh.called(*DIAL, "docker system dial-stdio").startswith(options), "docker-py"


def test_another_use_of_ssh_is_not_changed(ssh: Ssh, closed: list[tuple[object, ...]]) -> None:
    daemon.settle(ssh.environ)
    assert closed
    assert ssh.called("git@example.com", "git-upload-pack 'team/glm'") == "git@example.com git-upload-pack 'team/glm'"


def test_a_connection_that_the_operator_shares_is_used(ssh: Ssh, closed: list[tuple[object, ...]]) -> None:
    ssh.answers(0)
    daemon.settle(ssh.environ)
    assert (ssh.folder / "called").read_text() == f"-O check -- {ADDRESS}\n"
    sent = ssh.called(*DIAL, "docker system dial-stdio")
    assert "Control" not in sent
    assert "ServerAliveInterval=3" in sent
    assert not closed


def test_a_command_that_a_command_starts_shares_its_connection(ssh: Ssh, closed: list[tuple[object, ...]]) -> None:
    daemon.settle(ssh.environ)
    before = dict(ssh.environ)
    daemon.settle(ssh.environ)
    assert ssh.environ == before
    assert len(closed) == 1


def test_the_connection_ends_with_the_command(ssh: Ssh, closed: list[tuple[object, ...]]) -> None:
    daemon.settle(ssh.environ)
    (close, program, folder) = closed[0]
    (Path(str(folder)) / "socket").touch()
    ssh.answers(255)  # it has ended already
    close(program, folder)  # type: ignore[operator]  # as at exit
    assert (ssh.folder / "called").read_text().splitlines()[-1] == f"-o ControlPath={folder}/socket -O exit -- target"
    assert not Path(str(folder)).exists()


def test_an_engine_without_ssh_changes_nothing(ssh: Ssh, closed: list[tuple[object, ...]]) -> None:
    ssh.environ["DOCKER_HOST"] = daemon.DEFAULT
    before = dict(ssh.environ)
    daemon.settle(ssh.environ)
    assert (ssh.environ, closed) == (before, [])
