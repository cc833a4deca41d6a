"""Journal and lock on a real engine, and errors of commands caused by the host."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import (
    DiskFullError,
    ImageNotFoundError,
    LockHeldError,
    LockLostError,
    NothingToResumeError,
    PortTakenError,
    StateCorruptError,
)
from build.images.resolve import resolve
from build.settings import load
from build.state.cutover_lock import CutoverLock, Heartbeat
from build.state.journal import FILE, Journal
from harness.stack import Stack, free_port, wait_for


def shell(stack: Stack, script: str) -> None:
    code, output = stack.container("state").exec_run(["sh", "-c", script])
    assert code == 0, output


def end_stream(container: Any, pattern: str) -> None:
    """Kill the exec whose command line contains `pattern`, which must not match itself."""
    kill = (
        f'for process in /proc/[0-9]*; do ! grep -qs "{pattern}" "$process/cmdline" || kill "${{process#/proc/}}"; done'
    )
    code, output = container.exec_run(["sh", "-c", kill])
    assert code == 0, output


def test_the_journal_has_order_and_time_and_detects_damage(stack: Stack) -> None:
    journal = Journal(DockerEngine(), stack.container("state").name)
    before = journal.read()
    shell(stack, f"cp {FILE} {FILE}.saved")
    try:
        journal.append(event="intent", cutover="x", text='quotes " and \\ and %s and $HOME')
        newest = journal.read()[-1]
        assert newest["seq"] == len(before)
        assert newest["text"] == 'quotes " and \\ and %s and $HOME'
        assert newest["at"] >= before[-1]["at"]
        shell(stack, f"cp {FILE} {FILE}.whole")
        damages = (
            "echo '{{' >>{0}",
            "sed -i 2d {0}",
            "truncate -s -3 {0}",
            "sed -i '$s/quotes/quotas/' {0}",
        )
        for damage in damages:
            shell(stack, f"cp {FILE}.whole {FILE} && {damage.format(FILE)}")
            with pytest.raises(StateCorruptError):
                journal.read()
    finally:
        shell(stack, f"mv {FILE}.saved {FILE} && rm -f {FILE}.whole")


def test_a_writer_that_does_not_know_the_newest_record_fails(stack: Stack) -> None:
    mine, other = (Journal(DockerEngine(), stack.container("state").name) for _ in range(2))
    shell(stack, f"cp {FILE} {FILE}.saved")
    try:
        with mine.opened(), other.opened():
            mine.append(event="lock-broken", owner="a", by="b", reason="first")
            other.append(event="lock-broken", owner="a", by="b", reason="second")
            with pytest.raises(LockLostError, match="another process wrote to the journal"):
                mine.append(event="lock-broken", owner="a", by="b", reason="third")
        assert [record["reason"] for record in mine.read()[-2:]] == ["first", "second"]
    finally:
        shell(stack, f"mv {FILE}.saved {FILE}")


def test_a_journal_with_a_broken_stream_opens_a_new_one_and_writes_each_record_once(stack: Stack) -> None:
    journal = Journal(DockerEngine(), stack.container("state").name)
    shell(stack, f"cp {FILE} {FILE}.saved")
    try:
        with journal.opened():
            journal.append(event="lock-broken", owner="a", by="b", reason="first")
            end_stream(stack.container("state"), "read -r [e]xpected")
            journal.append(event="lock-broken", owner="a", by="b", reason="second")
        assert [record["reason"] for record in journal.read()[-2:]] == ["first", "second"]
    finally:
        shell(stack, f"mv {FILE}.saved {FILE}")


def test_status_fails_on_a_damaged_journal(stack: Stack) -> None:
    shell(stack, f"cp {FILE} {FILE}.saved && echo nonsense >>{FILE}")
    try:
        done = stack.run("build.cutover", "status", check=False)
    finally:
        shell(stack, f"mv {FILE}.saved {FILE}")
    assert done.returncode == StateCorruptError.exit_code


def test_one_of_many_processes_acquires_the_lock(stack: Stack) -> None:
    image = str(stack.container("proxy").image.id)
    acquired, refused, hold = [], [], threading.Event()

    def acquire(number: int) -> None:
        try:
            with CutoverLock(DockerEngine(), stack.project).held(image, f"attempt {number}"):
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
    assert CutoverLock(DockerEngine(), stack.project).holder() is None


def test_the_lock_of_a_dead_process_can_be_acquired(stack: Stack) -> None:
    image = str(stack.container("proxy").image.id)
    die = (
        "import os; from build.docker.engine import DockerEngine\n"
        "from build.state.cutover_lock import CutoverLock, Heartbeat\n"
        f"with CutoverLock(DockerEngine(), {stack.project!r}).held({image!r}, 'dies'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", die], check=False, cwd=stack.root)
    lock = CutoverLock(DockerEngine(), stack.project)
    dead = lock.holder()
    assert dead
    assert dead.gone
    with lock.held(image, "lives"):
        holder = lock.holder()
        assert holder
        assert (holder.what, holder.gone) == ("lives", False)


def test_a_lock_without_a_heartbeat_expires_and_its_owner_notices(stack: Stack) -> None:
    image = str(stack.container("proxy").image.id)
    lock = CutoverLock(DockerEngine(), stack.project, expiry_s=2)
    with lock.held(image, "keeps its heartbeat") as heartbeat:
        container = stack.docker.containers.get(lock.name)
        began = time.monotonic()
        wait_for("twice the expiry", lambda: time.monotonic() - began > 4)
        container.reload()
        assert container.status == "running"
        heartbeat.check()
        end_stream(container, "while read -r [_];")  # a broken stream is reopened
        began = time.monotonic()
        wait_for("twice the expiry", lambda: time.monotonic() - began > 4)
        heartbeat.check()
        container.pause()  # like an unreachable target
        wait_for("the owner to notice", lambda: lost(heartbeat))
        container.unpause()
        wait_for("the end of the lock", lambda: (owner := lock.holder()) and owner.expired)
        with CutoverLock(DockerEngine(), stack.project).held(image, "comes next"):
            assert (owner := lock.holder())
            assert owner.what == "comes next"
    assert lock.holder() is None


def lost(heartbeat: Heartbeat) -> bool:
    try:
        heartbeat.check()
    except LockLostError:
        return True
    return False


def test_a_half_written_heartbeat_does_not_end_the_lock(stack: Stack) -> None:
    lock = CutoverLock(DockerEngine(), stack.project, expiry_s=300)  # the next beat is far away
    with lock.held(str(stack.container("proxy").image.id), "writes"):
        container = stack.docker.containers.get(lock.name)
        wait_for("the lock to run", lambda: container.reload() or container.status == "running")

        def read_empty() -> bool:
            """Return whether the watch has read an empty file; False if the first beat came in between."""
            assert container.exec_run(["sh", "-c", ": >/tmp/beat"]).exit_code == 0
            await_next_read(container)
            return not container.exec_run(["sh", "-c", "test ! -s /tmp/beat"]).exit_code

        wait_for("a read of a half-written beat", read_empty)
        await_next_read(container)


def await_next_read(container: Any) -> None:
    before = pause(container)
    wait_for("the next read of the lock's watch", lambda: pause(container) not in {before, ""})


def pause(container: Any) -> str:
    """Return the pid of the sleep between two reads of the lock's watch; "" if it has ended."""
    return next((row[1] for row in container.top()["Processes"] if row[-1].startswith("sleep")), "")


def test_a_command_waits_for_the_lock_and_breaking_it_is_journaled(stack: Stack) -> None:
    image = str(stack.container("proxy").image.id)
    assert stack.run("build.cutover", "lock", "show").stdout == "the lock is free\n"
    assert stack.run("build.cutover", "lock", "break", "--reason", "x", check=False).returncode == 31
    shell(stack, f"cp {FILE} {FILE}.saved")
    try:
        with CutoverLock(DockerEngine(), stack.project).held(image, "another cutover"):
            waiting = stack.start("build.cutover", "resume", "--wait", "60")
            assert waiting.stdout
            line = waiting.stdout.readline()
            assert "waiting: another command holds the cutover lock" in line
            assert stack.run("build.cutover", "resume", "--wait", "0.1", check=False).returncode == 13
            broken = stack.run("build.cutover", "lock", "break", "--reason", "the laptop drowned")
            assert "another cutover" in broken.stderr
            waiting.communicate(timeout=60)
            assert waiting.returncode == NothingToResumeError.exit_code
        newest = stack.journal()[-1]
        assert (newest["event"], newest["reason"]) == ("lock-broken", "the laptop drowned")
        assert "the laptop drowned" in stack.run("build.cutover", "history").stdout
    finally:
        shell(stack, f"mv {FILE}.saved {FILE}")


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
