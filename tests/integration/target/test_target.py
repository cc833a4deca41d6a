"""Journal and lock on a real engine, and errors of commands caused by the host."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.lock import EXPIRY_S
from agent.protocol import Owner
from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import (
    AgentUnreachableError,
    DiskFullError,
    ImageNotFoundError,
    LockHeldError,
    LockLostError,
    NothingToResumeError,
    PortTakenError,
    StateCorruptError,
)
from build.images.resolve import resolve
from build.proxy.haproxy import HAProxy
from build.settings import load
from build.state.cutover_lock import CutoverLock
from build.state.journal import FILE, Journal
from build.target.start_flags import StartFlags
from harness.addresses import free_port
from harness.stack import Stack, crash, wait_for


def shell(stack: Stack, script: str) -> None:
    code, output = stack.container("agent").exec_run(["sh", "-c", script])
    assert code == 0, output


@pytest.fixture
def restored(stack: Stack) -> Iterator[Stack]:
    """The stack, whose journal is afterwards as it was before."""
    shell(stack, f"cp {FILE} {FILE}.saved")
    try:
        yield stack
    finally:
        shell(stack, f"mv {FILE}.saved {FILE}")


def test_the_journal_has_order_and_time_and_detects_damage(restored: Stack) -> None:
    with restored.locked("writes") as agent:
        journal = Journal(agent)
        before = journal.read()
        journal.append(event="intent", cutover="x", text='quotes " and \\ and %s and $HOME')
        newest = journal.read()[-1]
        assert newest["seq"] == len(before)
        assert newest["text"] == 'quotes " and \\ and %s and $HOME'
        assert newest["at"] >= before[-1]["at"]
    shell(restored, f"cp {FILE} {FILE}.whole")
    for damage in ("echo '{{' >>{0}", "sed -i 2d {0}", "sed -i '$s/quotes/quotas/' {0}"):
        shell(restored, f"cp {FILE}.whole {FILE} && {damage.format(FILE)}")
        with pytest.raises(StateCorruptError):
            Journal(restored.agent()).read()
    shell(restored, f"rm {FILE}.whole")


def test_a_record_needs_the_lock_and_a_lost_answer_writes_it_once(restored: Stack) -> None:
    record = {"event": "lock-broken", "owner": "a", "by": "b", "reason": "first"}
    with pytest.raises(LockLostError):
        Journal(restored.agent()).append(**record)
    with restored.locked("writes") as agent:
        journal = Journal(agent)
        count = len(journal.read())
        journal.append(**record)
        assert agent.change("journal append", record=record, seq=count)["record"]["seq"] == count
        with pytest.raises(LockLostError, match="the journal has"):
            agent.change("journal append", record={**record, "reason": "second"}, seq=count)
        assert len(Journal(restored.agent()).read()) == count + 1


def test_a_session_outlives_a_restart_of_the_agent_and_a_warning_of_the_docker_client(
    restored: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("no JSON")  # the docker client warns of it on stderr
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with restored.locked("writes") as agent:
        journal = Journal(agent)
        journal.append(event="lock-broken", owner="a", by="b", reason="first")
        crash(restored.container("agent"))
        journal.append(event="lock-broken", owner="a", by="b", reason="second")
        assert [record["reason"] for record in journal.read()[-2:]] == ["first", "second"]


def test_a_target_that_does_not_answer_ends_a_command_in_a_clear_error(stack: Stack) -> None:
    agent, container = stack.agent(), stack.container("agent")
    agent.ask("hello")
    container.pause()
    try:
        began = time.monotonic()
        with pytest.raises(AgentUnreachableError, match="does not answer"):
            agent.ask("hello")
        assert time.monotonic() - began < EXPIRY_S  # an owner gives up before it loses the lock
    finally:
        container.unpause()
    assert agent.ask("hello")["ok"]


def test_status_fails_on_a_damaged_journal(restored: Stack) -> None:
    shell(restored, f"echo nonsense >>{FILE}")
    assert restored.run("build.cutover", "status", check=False).returncode == StateCorruptError.exit_code


def test_one_of_many_processes_acquires_the_lock(stack: Stack) -> None:
    acquired, refused, hold = [], [], threading.Event()

    def acquire(number: int) -> None:
        try:
            with stack.locked(f"attempt {number}"):
                acquired.append(number)
                hold.wait(30)
        except LockHeldError as error:
            refused.append(error.message)
            if len(refused) == 3:
                hold.set()

    threads = [threading.Thread(target=acquire, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(acquired) == 1
    assert all(f"attempt {acquired[0]}" in message for message in refused)
    assert CutoverLock(stack.agent()).holder() is None


def test_the_lock_of_a_dead_process_can_be_acquired(stack: Stack) -> None:
    die = (
        "import os; from build.agent_client import AgentClient\n"
        "from build.state.cutover_lock import CutoverLock\n"
        f"with CutoverLock(AgentClient({stack.agent().container!r})).held('dies'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", die], check=False, cwd=stack.root)
    lock = CutoverLock(stack.agent())
    dead = lock.holder()
    assert dead
    assert dead.gone
    with stack.locked("lives"):
        holder = lock.holder()
        assert holder
        assert (holder.owner.what, holder.gone) == ("lives", False)


def test_an_owner_that_stood_still_changes_nothing_after_its_successor_began(restored: Stack) -> None:
    agent = restored.agent()
    late = Owner("late", "elsewhere", "1", "1", "stands still")
    agent.epoch = agent.ask("lock acquire", owner=late.to_json())["epoch"]
    proxy = HAProxy(DockerEngine(), restored.container("proxy").name, agent)
    wait_for("its expiry", lambda: agent.ask("lock show")["expired"], 2 * EXPIRY_S)
    with restored.locked("comes next"):
        before, records = proxy.servers(), len(restored.journal())
        with pytest.raises(LockLostError, match="the lock has moved on"):
            proxy.set_admins(("blue-1", "maint"), ("green-1", "maint"))
        with pytest.raises(LockLostError):
            proxy.hold("all")
        with pytest.raises(LockLostError):
            StartFlags(agent).park("blue", "green")
        with pytest.raises(LockLostError):
            Journal(agent).append(event="end", cutover="x", state="failed")
        assert {name: server.admin for name, server in proxy.servers().items()} == {
            name: server.admin for name, server in before.items()
        }
        assert (proxy.held().mode, len(restored.journal())) == ("none", records)


def test_a_command_waits_for_the_lock_and_breaking_it_is_journaled(restored: Stack) -> None:
    assert restored.run("build.cutover", "lock", "show").stdout == "the lock is free\n"
    assert restored.run("build.cutover", "lock", "break", "--reason", "x", check=False).returncode == 31
    with restored.locked("another cutover") as agent:
        waiting = restored.start("build.cutover", "resume", "--wait", "60")
        assert waiting.stdout
        line = waiting.stdout.readline()
        assert "waiting: another command holds the cutover lock" in line
        assert restored.run("build.cutover", "resume", "--wait", "0.1", check=False).returncode == 13
        broken = restored.run("build.cutover", "lock", "break", "--reason", "the laptop drowned")
        assert "another cutover" in broken.stderr
        waiting.communicate(timeout=60)
        assert waiting.returncode == NothingToResumeError.exit_code
        with pytest.raises(LockLostError):
            agent.change("confirm")
    newest = restored.journal()[-1]
    assert (newest["event"], newest["reason"]) == ("lock-broken", "the laptop drowned")
    assert "the laptop drowned" in restored.run("build.cutover", "history").stdout


def refused_elsewhere(stack: Stack, port: int, subnet_prefix: str) -> str:
    """Return the error of a first switch in another project on this port and subnet; it must create nothing."""
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
        error = refused_elsewhere(stack, port, "10.214.0")
    assert f"port {port} on 127.0.0.1 is in use by another process" in error


def test_a_subnet_that_is_in_use_is_refused(stack: Stack) -> None:
    error = refused_elsewhere(stack, free_port(), stack.env["SUBNET_PREFIX"])
    assert f"overlaps the Docker network {stack.project}_tts" in error


def test_a_nearly_full_disk_is_refused_before_a_build(stack: Stack) -> None:
    done = stack.run("build.images", check=False, CUTOVER_FREE_GB="1000000")
    assert done.returncode == DiskFullError.exit_code
    assert "1000000.0 GB are needed" in done.stderr


def test_doctor_passes_on_this_host_and_names_unverified_checks(stack: Stack) -> None:
    done = stack.run("build.doctor", "--strict")
    assert "not verified" in done.stdout or "NVIDIA" in done.stdout
    assert "problem" not in done.stdout


@pytest.mark.parametrize("reference", ["bad name!", "HEAD~99", "sha256:" + "0" * 64, "127.0.0.1:1/nothing/here:now"])
def test_a_reference_that_names_no_release_is_refused(stack: Stack, reference: str) -> None:
    done = stack.run("build.cutover", "switch", reference, check=False)
    assert done.returncode == ImageNotFoundError.exit_code
    assert "remedy:" in done.stderr


def test_a_release_is_found_by_commit_tag_and_image_id(stack: Stack) -> None:
    sha = stack.releases[-1]
    image = stack.docker.images.get(f"glm-tts-slim:{sha}")
    settings = load(stack.root, stack.env)
    for name in (sha, sha[:9], "HEAD", f"glm-tts-slim:{sha}", str(image.id)):
        assert resolve(settings, DockerEngine(), Reporter(), name).sha == sha


def test_status_watch_prints_one_document_per_line(stack: Stack) -> None:
    with stack.start("build.cutover", "status", "--json", "--watch", "--every", "0.2") as watching:
        assert watching.stdout
        documents = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.terminate()
        assert watching.wait(timeout=30) == 130
    assert {status["live"] for status in documents} == {stack.status()["live"]}
