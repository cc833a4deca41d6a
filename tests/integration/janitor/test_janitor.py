"""The janitor on a real engine, a real registry and a real stack; it sees only repositories of the test's own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import ImageNotFoundError, RetentionRefusedError
from build.janitor.__main__ import document, table
from build.janitor.cleaner import Janitor
from build.janitor.host import Scope
from build.janitor.pins import Pins
from build.janitor.registry import RegistrySurvey
from build.model.release import Release
from build.registry.client import OCI_INDEX, OCI_MANIFEST, Registry, sha256
from build.settings import Settings, load
from build.state.journal import FILE, Journal
from build.target.target import ComposeTarget
from build.verify.rules import Line, Outcome, VerificationReport
from build.verify.verdicts import Verdicts
from harness.registry import STORAGE, Running, running_registry
from harness.stack import PREFIX, Stack, wait_for

OCI = "org.opencontainers.image."
WEIGHT, ATTACHED = 300_000, 200_000  # bytes of each image, and of what is attached to it


def sha(number: int) -> str:
    return f"{number:040x}"


@dataclass
class Yard:
    """Tiny images under a prefix of their own, labelled like the real ones."""

    root: Path
    prefix: str
    project: str
    client: Any = field(default_factory=docker.from_env)

    def make(self, name: str, release: str = "", base: str = "", created: str = "") -> Any:
        """An image of random bytes as `prefix/name`."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo("weight")
            entry.size = WEIGHT
            archive.addfile(entry, io.BytesIO(random.randbytes(WEIGHT)))
        labels = {"ai.glm-tts.release": release, OCI + "base.digest": base, OCI + "created": created}
        changes = [f'LABEL {key}="{value}"' for key, value in labels.items() if value] + ['CMD ["/weight"]']
        repository, _, tag = f"{self.prefix}/{name}".rpartition(":")
        self.client.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag, changes=changes)
        return self.client.images.get(f"{repository}:{tag}")

    def app(self, number: int, base: str = "", *, verified: bool = True) -> Any:
        image = self.make(f"glm-tts-slim:{sha(number)}", sha(number), base, f"2026-01-{number:02}T00:00:00+00:00")
        if verified:
            self.report(image, "passed")
        return image

    def report(self, image: Any, outcome: Outcome) -> None:
        Verdicts(self.root).write(image.id, VerificationReport(image.id, "app", (Line("voice", outcome),)))

    def janitor(self, registry: RegistrySurvey | None = None, **settings: Any) -> Janitor:
        """One that looks at nothing but this yard, and takes no image for one just being built."""
        scope = Scope(prefix=self.prefix, project=lambda name: name == self.project, build_cache=False)
        chosen = Settings(root=self.root, project=self.project, **settings)
        return Janitor(ComposeTarget(chosen, DockerEngine()), Reporter(), scope=scope, registry=registry, young_s=0)

    def names(self) -> set[str]:
        tags = [tag for image in self.client.api.images() for tag in image.get("RepoTags") or []]
        return {tag.removeprefix(f"{self.prefix}/") for tag in tags if tag.startswith(f"{self.prefix}/")}

    def close(self) -> None:
        for name in self.names():
            with contextlib.suppress(docker.errors.APIError):
                self.client.images.remove(f"{self.prefix}/{name}", force=True)
        self.client.close()


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    project = f"{PREFIX}{os.getpid()}-{random.randrange(16**4):04x}"
    yard = Yard(tmp_path, project, project)
    yield yard
    yard.close()


def test_what_is_needed_stays_and_the_rest_goes_once_disk_is_short(yard: Yard) -> None:
    bases = [yard.make(f"glm-tts-base-slim:{number:016x}") for number in (1, 2, 3)]
    apps = {number: yard.app(number, bases[0].id if number < 3 else bases[1].id) for number in (1, 2, 4, 5, 6)}
    yard.app(7, verified=False)
    yard.report(yard.app(8), "failed")
    yard.make("glm-tts-base-slim:000000000000000f")  # the newest
    pins = Pins(DockerEngine(), scope=Scope(prefix=yard.prefix))
    assert pins.add(Release(sha(4), apps[4].id)) == [f"{yard.prefix}/glm-tts-slim:pinned-{sha(4)[:12]}"]
    (yard.root / ".env").write_text(f"GREEN_IMAGE={apps[5].id}\n")
    # Created and never started: it needs its image all the same.
    container = yard.client.containers.create(f"{yard.prefix}/glm-tts-slim:{sha(2)}", name=f"{yard.project}-kept")
    before = yard.names()
    try:
        dry = yard.janitor(keep_releases=1).run(dry_run=True, now=True)
        assert not dry.acted
        idle = yard.janitor(keep_releases=1, min_free_gb=0).run(dry_run=False, now=False)
        assert not idle.acted
        assert yard.names() == before
        done = yard.janitor(keep_releases=1, min_free_gb=10**6).run(dry_run=False, now=False)
    finally:
        container.remove(force=True)
    assert done.acted
    assert not done.failed
    assert {action.item.name: action.why for action in dry.actions} == {
        action.item.name: action.why for action in done.actions
    }
    assert (
        yard.names()
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


def test_the_table_tells_what_goes_first_with_reason_and_size(yard: Yard) -> None:
    yard.app(1)
    yard.app(2)
    outcome = yard.janitor(keep_releases=1).run(dry_run=True, now=False)
    plan = document(outcome)
    assert plan["removed"] is False
    (removal,) = (each for each in plan["actions"] if each["action"] == "remove")
    assert removal | {"id": ""} == {
        "action": "remove",
        "where": "host",
        "names": [f"{yard.prefix}/glm-tts-slim:{sha(1)}"],
        "id": "",
        "bytes": pytest.approx(WEIGHT, rel=0.1),
        "why": "older than the last 1 verified",
    }
    rows = [tuple(map(str, row)) for row in table(outcome.actions).rows]
    name = f"{yard.prefix}/glm-tts-slim:{'0' * 12}"
    assert rows[0] == ("remove", "host", name, "0.3 MB", "older than the last 1 verified")
    assert ("keep", "host", name, "0.3 MB", "number 1 of the last 1 verified") in rows


def test_a_name_that_somebody_else_gave_an_image_stays(yard: Yard) -> None:
    image = yard.app(1, verified=False)
    foreign = f"{yard.project}-foreign"
    image.tag(foreign, "mine")
    try:
        yard.janitor().run(dry_run=False, now=True)
        assert yard.names() == set()
        assert yard.client.images.get(f"{foreign}:mine").id == image.id
    finally:
        yard.client.images.remove(f"{foreign}:mine")


def test_pins_come_and_go_and_never_take_the_image_with_them(yard: Yard) -> None:
    image = yard.app(1)
    release = Release(sha(1), image.id)
    pins = Pins(DockerEngine(), scope=Scope(prefix=yard.prefix))
    made = pins.add(release)
    assert pins.all() == made
    assert pins.remove(release) == made
    assert pins.all() == []
    assert yard.names() == {f"glm-tts-slim:{sha(1)}"}
    with pytest.raises(ImageNotFoundError, match="is not pinned"):
        pins.remove(release)
    pins.add(release)
    yard.client.images.remove(f"{yard.prefix}/glm-tts-slim:{sha(1)}")
    with pytest.raises(RetentionRefusedError, match="last name"):
        pins.remove(release)
    assert pins.all() == made


def test_old_records_go_but_not_those_of_images_that_stay(yard: Yard) -> None:
    kept, gone = yard.app(2), yard.app(1)
    builds = yard.root / "out/builds"
    builds.mkdir()
    for name, image in (("kept.json", kept), ("gone.json", gone), ("recent.json", gone)):
        (builds / name).write_text(json.dumps({"image_id": image.id}))
    folder = builds / "of-gone"
    folder.mkdir()
    (folder / "log").write_text("pip said much")
    for name in ("old", "new"):
        (yard.root / "out/cutovers" / name).mkdir(parents=True)
        (yard.root / "out/cutovers" / name / "spoken.wav").write_bytes(b"RIFF")
    recording = yard.root / "out/cutovers/old/spoken.wav"
    long_ago = time.time() - 40 * 86400
    logs = (builds / "kept.json", builds / "gone.json", folder / "log", recording)
    for path in (*logs, *yard.root.glob("out/verified/*")):
        os.utime(path, (long_ago, long_ago))
    yard.janitor(keep_releases=1).run(dry_run=False, now=True)
    left = {path.name for path in builds.iterdir()}
    assert left == {"kept.json", "recent.json"}
    assert [path.name for path in (yard.root / "out/cutovers").iterdir()] == ["new"]
    reports = [path.name for path in yard.root.glob("out/verified/*")]
    assert reports == [f"{kept.id.removeprefix('sha256:')}.json"]


def disk(registry: Running, client: Any) -> int:
    """Bytes that a registry's storage takes."""
    code, said = client.containers.get(registry.container).exec_run(["du", "-sb", STORAGE])
    assert code == 0, said
    return int(said.split()[0])


def attach(registry: Registry, name: str, subject: str) -> None:
    """An artifact of 200 kB, found by the fallback tag of its subject."""
    content = random.randbytes(ATTACHED)
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": registry.put_blob(name, b"{}")}
    layer = {
        "mediaType": "application/vnd.cyclonedx+json",
        "size": ATTACHED,
        "digest": registry.put_blob(name, content),
    }
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    body = json.dumps(manifest).encode()
    digest = registry.put_manifest(name, sha256(body), body, OCI_MANIFEST)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(body)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    registry.put_manifest(name, subject.replace(":", "-"), json.dumps(index).encode(), OCI_INDEX)


def push(yard: Yard, *tags: str) -> None:
    for tag in tags:
        for event in yard.client.images.push(f"{yard.prefix}/{tag}", stream=True, decode=True):
            assert "error" not in event, event


def test_a_registry_keeps_what_is_needed_and_its_disk_shrinks(yard: Yard) -> None:
    app, base = "glm-tts-slim", "glm-tts-base-slim"
    with running_registry(project=yard.project, deletes=True) as running:
        yard.prefix = f"{running.address}/team"
        registry = Registry(yard.prefix)
        keys = [f"{number:016x}" for number in (1, 2, 3)]
        for key in keys:
            yard.make(f"{base}:{key}")
        push(yard, *(f"{base}:{key}" for key in keys))
        apps = {
            number: yard.app(number, registry.digest(base, keys[0 if number < 4 else 1])) for number in (1, 2, 3, 4, 5)
        }
        apps[5].tag(f"{yard.prefix}/{app}", "v1.0.0")
        yard.make(f"{base}:000000000000000f")
        push(yard, *(f"{app}:{sha(number)}" for number in apps), f"{app}:v1.0.0", f"{base}:000000000000000f")
        for number in (1, 2, 4):
            attach(registry, app, registry.digest(app, sha(number)))
        pins = Pins(DockerEngine(), scope=Scope(prefix=yard.prefix), registry=registry)
        pin = f"{yard.prefix}/{app}:pinned-{sha(4)[:12]}"
        four = Release(sha(4), apps[4].id)
        assert pins.add(four) == [pin, pin]  # the engine's and the registry's: here they go by one name
        assert registry.digest(app, f"pinned-{sha(4)[:12]}") == registry.digest(app, sha(4))
        attached = registry.digest(app, sha(4)).replace(":", "-")
        copy = f"{yard.project}-copy"
        apps[1].tag(copy, "1")
        before = disk(running, yard.client)

        janitor = yard.janitor(RegistrySurvey(registry), keep_releases=0)
        done = janitor.run(dry_run=False, now=True, collect_garbage=running.container)
        assert not done.failed
        wait_for("the registry again", lambda: answers(running))
        assert set(running.tags(f"team/{app}")) == {sha(4), f"pinned-{sha(4)[:12]}", attached, sha(5), "v1.0.0"}
        assert set(running.tags(f"team/{base}")) == {keys[1], "000000000000000f"}
        # Gone: three apps, two bases, two artifacts; random bytes do not shrink on the way.
        assert before - disk(running, yard.client) >= 5 * WEIGHT + 2 * ATTACHED
        pulled = yard.client.images.pull(f"{yard.prefix}/{app}", tag="v1.0.0")
        assert pulled.labels["ai.glm-tts.release"] == sha(5)

        # The registry knows that the blobs are gone: what went can be pushed again, whole.
        again = f"{yard.prefix}/{app}"
        yard.client.images.get(f"{copy}:1").tag(again, sha(1))
        push(yard, f"{app}:{sha(1)}")
        for name in (f"{again}:{sha(1)}", f"{copy}:1"):
            yard.client.images.remove(name)
        assert yard.client.images.pull(again, tag=sha(1)).labels["ai.glm-tts.release"] == sha(1)

        assert pin in pins.all()
        assert pins.remove(four) == [pin, pin]
        assert pins.all() == []
        assert sha(4) in running.tags(f"team/{app}")


def answers(running: Running) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"http://{running.address}/v2/", timeout=2).ok
    return False


def test_a_registry_that_forbids_deletion_is_said_and_keeps_all(yard: Yard) -> None:
    with running_registry(project=yard.project) as running:
        yard.prefix = f"{running.address}/team"
        yard.app(1)
        push(yard, f"glm-tts-slim:{sha(1)}")
        survey = RegistrySurvey(Registry(yard.prefix))
        done = yard.janitor(survey, keep_releases=0).run(dry_run=False, now=True)
        assert len(done.failed) == 1
        assert "deletes nothing" in done.failed[0]
        assert running.tags("team/glm-tts-slim") == [sha(1)]


@pytest.fixture
def three(stack: Stack) -> Iterator[tuple[Stack, Yard, list[str]]]:
    """Three releases that served, the newest live; their images also under a name that the janitor may take."""
    shas = [stack.status()["colours"][stack.status()["live"]]["release"]["sha"]]
    for change in ("the second to be kept", "the third to be kept"):
        shas.append(stack.release(change))
        stack.run("build.cutover", "switch")
    yard = Yard(stack.root, f"{stack.project}-yard", stack.project)
    for each in shas:
        yard.client.images.get(f"glm-tts-slim:{each}").tag(f"{yard.prefix}/glm-tts-slim", each)
    yield stack, yard, shas
    yard.close()


def test_live_and_last_good_survive_and_nothing_goes_after_a_failure(three: tuple[Stack, Yard, list[str]]) -> None:
    stack, yard, (first, last_good, live) = three
    settings = load(stack.root, {**stack.env, "CUTOVER_KEEP_RELEASES": "0"})
    scope = Scope(prefix=yard.prefix, project=lambda name: name == stack.project, build_cache=False)

    def janitor() -> Janitor:
        return Janitor(ComposeTarget(settings, DockerEngine()), Reporter(), scope=scope, young_s=0)

    everything = {f"glm-tts-slim:{each}" for each in (first, last_good, live)}
    # A way back by the journal alone: no container stands on it any more.
    idle = next(colour for colour in ("blue", "green") if colour != stack.status()["live"])
    stack.container(f"app-{idle}").remove(force=True)

    def shell(script: str) -> None:
        code, said = stack.container("state").exec_run(["sh", "-c", script])
        assert code == 0, said

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
        journal = Journal(DockerEngine(), stack.container("state").name)
        for record, said in ((begin, "under way"), (end, "failed")):
            journal.append(cutover="x", **record)
            with pytest.raises(RetentionRefusedError, match=said):
                janitor().run(dry_run=False, now=True)
            done = stack.run("build.janitor", "--dry-run", check=False)
            assert done.returncode == RetentionRefusedError.exit_code
            assert "remedy: " in done.stderr
    finally:
        shell(f"mv {FILE}.kept {FILE}")
    target = ComposeTarget(settings, DockerEngine())
    with target.lock.held(target.proxy_image, "a switch"), pytest.raises(RetentionRefusedError, match="a switch"):
        janitor().run(dry_run=False, now=True)
    stack.container("state").stop()
    try:
        with pytest.raises(RetentionRefusedError, match="does not run"):
            janitor().run(dry_run=False, now=True)
    finally:
        stack.container("state").start()
    assert yard.names() == everything

    outcome = janitor().run(dry_run=False, now=True)
    assert yard.names() == everything - {f"glm-tts-slim:{first}"}
    why = {action.item.name.rpartition(":")[2]: action.why for action in outcome.actions if action.item.role}
    assert why[last_good].endswith(("before the newest in the journal", "last good release"))
    assert target.lock.holder() is None

    pin = f"glm-tts-slim:pinned-{live[:12]}"
    assert stack.run("build.janitor", "pin", live[:12]).stdout.split() == [pin]
    assert pin in stack.run("build.janitor", "pins").stdout.split()
    assert stack.run("build.janitor", "unpin", live).stdout.split() == [pin]
    assert pin not in stack.run("build.janitor", "pins").stdout.split()

    stack.run("build.cutover", "rollback")
    assert stack.status()["colours"][stack.status()["live"]]["release"]["sha"] == last_good
