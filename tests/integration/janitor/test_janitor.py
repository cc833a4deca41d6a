"""The janitor with a real engine and a real stack; it handles only repositories of the test."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import ImageNotFoundError, RetentionRefusedError
from build.janitor.__main__ import document, table
from build.janitor.cleaner import Janitor
from build.janitor.host import Scope
from build.janitor.pins import Pins
from build.model.release import Release
from build.settings import load
from build.state.journal import FILE, Journal
from build.target.target import ComposeTarget
from harness.stack import Stack
from tests.integration.janitor.tiny_images import WEIGHT, TinyImages, sha


def test_needed_images_are_kept_and_others_removed_when_disk_is_short(images: TinyImages) -> None:
    bases = [images.make(f"glm-tts-base-slim:{number:016x}") for number in (1, 2, 3)]
    apps = {number: images.app(number, bases[0].id if number < 3 else bases[1].id) for number in (1, 2, 4, 5, 6)}
    images.app(7, verified=False)
    images.report(images.app(8), "failed")
    images.make("glm-tts-base-slim:000000000000000f")  # the newest
    pins = Pins(DockerEngine(), scope=Scope(prefix=images.prefix))
    assert pins.add(Release(sha(4), apps[4].id)) == [f"{images.prefix}/glm-tts-slim:pinned-{sha(4)[:12]}"]
    (images.root / ".env").write_text(f"GREEN_IMAGE={apps[5].id}\n")
    # A container needs its image even if it was never started.
    container = images.client.containers.create(f"{images.prefix}/glm-tts-slim:{sha(2)}", name=f"{images.project}-idle")
    before = images.names()
    try:
        dry = images.janitor(keep_releases=1).run(dry_run=True, now=True)
        assert not dry.acted
        idle = images.janitor(keep_releases=1, min_free_gb=0).run(dry_run=False, now=False)
        assert not idle.acted
        assert images.names() == before
        done = images.janitor(keep_releases=1, min_free_gb=10**6).run(dry_run=False, now=False)
    finally:
        container.remove(force=True)
    assert done.acted
    assert not done.failed
    assert {action.item.name: action.why for action in dry.actions} == {
        action.item.name: action.why for action in done.actions
    }
    assert (
        images.names()
        == {
            f"glm-tts-slim:{sha(2)}",  # in a container
            f"glm-tts-slim:{sha(4)}",  # pinned
            f"glm-tts-slim:pinned-{sha(4)[:12]}",
            f"glm-tts-slim:{sha(5)}",  # in .env
            f"glm-tts-slim:{sha(6)}",  # last verified
            "glm-tts-base-slim:0000000000000001",  # under 2
            "glm-tts-base-slim:0000000000000002",  # under 4, 5, 6
            "glm-tts-base-slim:000000000000000f",
        }
    )


def test_the_table_lists_removals_first_with_reason_and_size(images: TinyImages) -> None:
    images.app(1)
    images.app(2)
    outcome = images.janitor(keep_releases=1).run(dry_run=True, now=False)
    plan = document(outcome)
    assert plan["removed"] is False
    (removal,) = (action for action in plan["actions"] if action["action"] == "remove")
    assert removal | {"id": ""} == {
        "action": "remove",
        "where": "host",
        "names": [f"{images.prefix}/glm-tts-slim:{sha(1)}"],
        "id": "",
        "bytes": pytest.approx(WEIGHT, rel=0.1),
        "why": "older than the last 1 verified",
    }
    rows = [tuple(map(str, row)) for row in table(outcome.actions).rows]
    name = f"{images.prefix}/glm-tts-slim:{'0' * 12}"
    assert rows[0] == ("remove", "host", name, "0.3 MB", "older than the last 1 verified")
    assert ("keep", "host", name, "0.3 MB", "number 1 of the last 1 verified") in rows


def test_a_foreign_name_of_an_image_is_not_removed(images: TinyImages) -> None:
    image = images.app(1, verified=False)
    foreign = f"{images.project}-foreign"
    image.tag(foreign, "mine")
    try:
        images.janitor().run(dry_run=False, now=True)
        assert images.names() == set()
        assert images.client.images.get(f"{foreign}:mine").id == image.id
    finally:
        images.client.images.remove(f"{foreign}:mine")


def test_removing_a_pin_never_removes_the_image(images: TinyImages) -> None:
    image = images.app(1)
    release = Release(sha(1), image.id)
    pins = Pins(DockerEngine(), scope=Scope(prefix=images.prefix))
    made = pins.add(release)
    assert pins.all() == made
    assert pins.remove(release) == made
    assert pins.all() == []
    assert images.names() == {f"glm-tts-slim:{sha(1)}"}
    with pytest.raises(ImageNotFoundError, match="is not pinned"):
        pins.remove(release)
    pins.add(release)
    images.client.images.remove(f"{images.prefix}/glm-tts-slim:{sha(1)}")
    with pytest.raises(RetentionRefusedError, match="last name"):
        pins.remove(release)
    assert pins.all() == made


def test_old_records_are_removed_except_those_of_kept_images(images: TinyImages) -> None:
    kept, removed = images.app(2), images.app(1)
    builds = images.root / "out/builds"
    builds.mkdir()
    for name, image in (("kept.json", kept), ("removed.json", removed), ("recent.json", removed)):
        (builds / name).write_text(json.dumps({"image_id": image.id}))
    folder = builds / "of-removed"
    folder.mkdir()
    (folder / "log").write_text("output of pip")
    for name in ("old", "new"):
        (images.root / "out/cutovers" / name).mkdir(parents=True)
        (images.root / "out/cutovers" / name / "spoken.wav").write_bytes(b"RIFF")
    recording = images.root / "out/cutovers/old/spoken.wav"
    long_ago = time.time() - 40 * 86400
    logs = (builds / "kept.json", builds / "removed.json", folder / "log", recording)
    for path in (*logs, *images.root.glob("out/verified/*")):
        os.utime(path, (long_ago, long_ago))
    images.janitor(keep_releases=1).run(dry_run=False, now=True)
    remaining = {path.name for path in builds.iterdir()}
    assert remaining == {"kept.json", "recent.json"}
    assert [path.name for path in (images.root / "out/cutovers").iterdir()] == ["new"]
    reports = [path.name for path in images.root.glob("out/verified/*")]
    assert reports == [f"{kept.id.removeprefix('sha256:')}.json"]


@pytest.fixture
def three(stack: Stack) -> Iterator[tuple[Stack, TinyImages, list[str]]]:
    """Three releases that served, the newest live; their images have a second name that the janitor handles."""
    shas = [stack.status()["colours"][stack.status()["live"]]["release"]["sha"]]
    for change in ("the second release", "the third release"):
        shas.append(stack.release(change))
        stack.run("build.cutover", "switch")
    images = TinyImages(stack.root, f"{stack.project}-images", stack.project)
    for name in shas:
        images.client.images.get(f"glm-tts-slim:{name}").tag(f"{images.prefix}/glm-tts-slim", name)
    yield stack, images, shas
    images.close()


def check_journal_refusals(stack: Stack, janitor: Callable[[], Janitor], idle: str) -> None:
    """The janitor refuses during a cutover and after a failed one, as recorded in the journal."""

    def shell(script: str) -> None:
        code, output = stack.container("agent").exec_run(["sh", "-c", script])
        assert code == 0, output

    begin: dict[str, Any] = {
        "event": "begin",
        "kind": "switch",
        "strategy": "overlap",
        "colour": idle,
        "previous": None,
    }
    begin["release"] = {"sha": sha(9), "image": f"sha256:{sha(9)}"}
    end = {"event": "end", "state": "failed"}
    shell(f"cp {FILE} {FILE}.kept")
    try:
        for record, reason in ((begin, "in progress"), (end, "failed")):
            with stack.locked("a cutover") as agent:
                Journal(agent).append(cutover="x", **record)
            with pytest.raises(RetentionRefusedError, match=reason):
                janitor().run(dry_run=False, now=True)
            done = stack.run("build.janitor", "--dry-run", check=False)
            assert done.returncode == RetentionRefusedError.exit_code
            assert "remedy: " in done.stderr
    finally:
        shell(f"mv {FILE}.kept {FILE}")


def check_pin_commands(stack: Stack, live: str) -> None:
    """The commands add, list and remove a pin."""
    pin = f"glm-tts-slim:pinned-{live[:12]}"
    assert stack.run("build.janitor", "pin", live[:12]).stdout.split() == [pin]
    assert pin in stack.run("build.janitor", "pins").stdout.split()
    assert stack.run("build.janitor", "unpin", live).stdout.split() == [pin]
    assert pin not in stack.run("build.janitor", "pins").stdout.split()


def test_live_and_last_good_are_kept_and_a_failed_cutover_stops_the_janitor(
    three: tuple[Stack, TinyImages, list[str]],
) -> None:
    stack, images, (first, last_good, live) = three
    settings = load(stack.root, {**stack.env, "CUTOVER_KEEP_RELEASES": "0"})
    scope = Scope(prefix=images.prefix, project=lambda name: name == stack.project, build_cache=False)

    def janitor() -> Janitor:
        return Janitor(ComposeTarget(settings, DockerEngine()), Reporter(), scope=scope, young_s=0)

    everything = {f"glm-tts-slim:{name}" for name in (first, last_good, live)}
    # The last good release is known only from the journal: no container uses it.
    idle = next(colour for colour in ("blue", "green") if colour != stack.status()["live"])
    stack.container(f"app-{idle}").remove(force=True)

    check_journal_refusals(stack, janitor, idle)
    target = ComposeTarget(settings, DockerEngine())
    with target.lock.held("a switch"), pytest.raises(RetentionRefusedError, match="a switch"):
        janitor().run(dry_run=False, now=True)
    stack.container("agent").stop()
    try:
        with pytest.raises(RetentionRefusedError, match="does not run"):
            janitor().run(dry_run=False, now=True)
    finally:
        stack.container("agent").start()
    assert images.names() == everything

    outcome = janitor().run(dry_run=False, now=True)
    assert images.names() == everything - {f"glm-tts-slim:{first}"}
    why = {action.item.name.rpartition(":")[2]: action.why for action in outcome.actions if action.item.role}
    assert why[last_good].endswith(("before the newest in the journal", "last good release"))
    assert target.lock.holder() is None

    check_pin_commands(stack, live)
    stack.run("build.cutover", "rollback")
    assert stack.status()["colours"][stack.status()["live"]]["release"]["sha"] == last_good
