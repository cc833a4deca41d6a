"""Journal and lock on a real engine, and what the commands say when the host is in the way."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

from build.console import Reporter
from build.drivers.engine import Engine
from build.drivers.journal import FILE, Journal
from build.drivers.lock import Lock
from build.errors import DiskFullError, ImageNotFoundError, LockHeldError, PortTakenError, StateCorruptError
from build.procedures.resolve import resolve
from build.settings import load
from tests.support.stack import Stack, free_port


def shell(stack: Stack, script: str) -> None:
    code, said = stack.container("state").exec_run(["sh", "-c", script])
    assert code == 0, said


def test_the_journal_keeps_order_and_time_and_refuses_damage(stack: Stack) -> None:
    journal = Journal(Engine(), stack.container("state").name)
    before = journal.read()
    shell(stack, f"cp {FILE} {FILE}.kept")
    try:
        journal.append(event="intent", cutover="x", text='quotes " and \\ and %s and $HOME')
        newest = journal.read()[-1]
        assert newest["seq"] == len(before)
        assert newest["text"] == 'quotes " and \\ and %s and $HOME'
        assert newest["at"] >= before[-1]["at"]
        for damage in (f"echo '{{' >>{FILE}", f"sed -i 2d {FILE}", f"truncate -s -3 {FILE}"):
            shell(stack, f"cp {FILE}.kept {FILE} && {damage}")
            with pytest.raises(StateCorruptError):
                journal.read()
    finally:
        shell(stack, f"mv {FILE}.kept {FILE}")


def test_status_refuses_a_damaged_journal_rather_than_taking_it_for_empty(stack: Stack) -> None:
    shell(stack, f"cp {FILE} {FILE}.kept && echo nonsense >>{FILE}")
    try:
        done = stack.run("build.cutover", "status", check=False)
    finally:
        shell(stack, f"mv {FILE}.kept {FILE}")
    assert done.returncode == StateCorruptError.exit_code


def test_of_many_that_want_the_lock_one_gets_it(stack: Stack) -> None:
    image = str(stack.container("proxy").image.id)
    got, refused, hold = [], [], threading.Event()

    def want(number: int) -> None:
        try:
            with Lock(Engine(), stack.project).held(image, f"attempt {number}"):
                got.append(number)
                hold.wait(30)
        except LockHeldError as error:
            refused.append(error.message)
            if len(refused) == 3:
                hold.set()

    threads = [threading.Thread(target=want, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 1
    assert all(f"attempt {got[0]}" in message for message in refused)
    assert Lock(Engine(), stack.project).holder() is None


def test_the_lock_of_a_process_that_ended_is_taken_over(stack: Stack) -> None:
    image = str(stack.container("proxy").image.id)
    die = (
        "import os; from build.drivers.engine import Engine; from build.drivers.lock import Lock\n"
        f"with Lock(Engine(), {stack.project!r}).held({image!r}, 'dies'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", die], check=False, cwd=stack.root)
    lock = Lock(Engine(), stack.project)
    dead = lock.holder()
    assert dead
    assert dead.gone
    with lock.held(image, "lives"):
        holder = lock.holder()
        assert holder
        assert (holder.what, holder.gone) == ("lives", False)


def refused_elsewhere(stack: Stack, port: int, subnet_prefix: str) -> str:
    """What a first switch says in another project on this port and subnet; nothing of it may be created."""
    project = f"{stack.project}-elsewhere"
    env_before = (stack.root / ".env").read_text()
    elsewhere = {"COMPOSE_PROJECT_NAME": project, "PORT": str(port), "SUBNET_PREFIX": subnet_prefix}
    done = stack.run("build.cutover", "switch", check=False, **elsewhere)
    assert done.returncode == PortTakenError.exit_code
    assert stack.docker.containers.list(all=True, filters={"name": project}) == []
    assert (stack.root / ".env").read_text() == env_before
    return done.stderr


def test_a_taken_port_is_refused_before_anything_is_created(stack: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused_elsewhere(stack, port, "10.214.0")
    assert f"port {port} on 127.0.0.1 is taken by another process" in said


def test_a_subnet_that_is_in_use_is_refused(stack: Stack) -> None:
    said = refused_elsewhere(stack, free_port(), stack.env["SUBNET_PREFIX"])
    assert f"overlaps the Docker network {stack.project}_tts" in said


def test_a_nearly_full_disk_is_refused_before_a_build(stack: Stack) -> None:
    done = stack.run("build.images", check=False, CUTOVER_FREE_GB="1000000")
    assert done.returncode == DiskFullError.exit_code
    assert "1000000.0 GB needed" in done.stderr


def test_doctor_finds_this_host_fit_and_names_what_it_cannot_verify(stack: Stack) -> None:
    done = stack.run("build.doctor", "--strict")
    assert "not verified" in done.stdout or "NVIDIA" in done.stdout
    assert "problem" not in done.stdout


@pytest.mark.parametrize("reference", ["bad name!", "HEAD~99", "sha256:" + "0" * 64, "127.0.0.1:1/nothing/here:now"])
def test_a_reference_that_names_no_release_is_refused(stack: Stack, reference: str) -> None:
    done = stack.run("build.cutover", "switch", reference, check=False)
    assert done.returncode == ImageNotFoundError.exit_code
    assert "remedy:" in done.stderr


def test_a_release_is_found_by_whatever_names_its_commit(stack: Stack) -> None:
    sha = stack.releases[-1]
    image = stack.docker.images.get(f"glm-tts-slim:{sha}")
    settings = load(stack.root, stack.env)
    for name in (sha, sha[:9], "HEAD", f"glm-tts-slim:{sha}", str(image.id)):
        assert resolve(settings, Engine(), Reporter(), name).sha == sha
