"""scripts/bootstrap --refresh: a newer OS image from a real registry; without one the old image is kept."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from harness import images
from harness.registry import running_registry
from harness.stack import PREFIX, REPOSITORY

NOWHERE = "127.0.0.1:9/debian:bookworm-slim"
STANDIN = f"{PREFIX}standin:{os.getpid()}"


@dataclass
class Machine:
    """Runs bootstrap's functions for the OS image with image names of the test."""

    scratch: Path
    client: docker.DockerClient

    def run(self, call: str, image: str, **env: str) -> subprocess.CompletedProcess[str]:
        parts = "".join(f". {REPOSITORY}/scripts/lib/{part}.sh; " for part in ("common", "images"))
        names = (
            f"ROOT={REPOSITORY} SCRATCH={self.scratch} LOG={self.scratch}/log OS_IMAGE={image} OS_STANDIN={STANDIN}; "
        )
        argv = ["bash", "-c", f"set -eEuo pipefail; {parts} {names} {call}"]
        return subprocess.run(argv, env={**os.environ, **env}, check=False, capture_output=True, text=True, timeout=300)

    def image_id(self, name: str) -> str:
        return str(self.client.images.get(name).id)

    def tar(self, content: str) -> str:
        path = self.scratch / "os.tar"
        with tarfile.open(path, "w") as archive:
            entry = tarfile.TarInfo("etc/debian_version")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
        return str(path)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    client = docker.from_env()
    yield Machine(tmp_path, client)
    for image in client.api.images():  # other tests remove images meanwhile, which `client.images.list` does not stand
        for tag in image["RepoTags"] or []:
            if tag.startswith(STANDIN) or tag == NOWHERE:
                client.images.remove(tag, force=True)
    client.close()


def test_a_newer_image_of_the_registry_replaces_the_old_one(machine: Machine) -> None:
    with running_registry() as registry:
        name = f"{registry.address}/debian:bookworm-slim"
        try:
            for state in ("older", "newer"):
                images.build(name, f"FROM {{os_image}}\nLABEL state={state}\n")
                machine.client.images.push(name)
                if state == "older":
                    old = machine.image_id(name)
            newest = machine.image_id(name)
            machine.client.images.get(old).tag(name)
            done = machine.run("refresh_os_image", name)
            assert done.returncode == 0, done.stderr
            assert machine.image_id(name) == newest
        finally:
            for image in {old, newest}:
                machine.client.images.remove(image, force=True)


def test_an_image_that_cannot_be_pulled_is_kept(machine: Machine) -> None:
    machine.client.images.get(images.os_image()).tag(NOWHERE)
    before = machine.image_id(NOWHERE)
    done = machine.run("refresh_os_image", NOWHERE)
    assert done.returncode == 1
    assert f"{NOWHERE} was not refreshed" in done.stderr
    assert machine.image_id(NOWHERE) == before


def test_a_stand_in_that_cannot_be_rebuilt_is_kept(machine: Machine) -> None:
    machine.client.images.get(images.os_image()).tag(STANDIN)
    before = machine.image_id(STANDIN)
    lists, apt = machine.scratch / "lists", machine.scratch / "apt.conf"
    (lists / "partial").mkdir(parents=True)
    apt.write_text(f'Dir::State::Lists "{lists}"; Dir::Etc::SourceList "/dev/null"; Dir::Etc::SourceParts "/dev/null";')
    done = machine.run("refresh_os_image", NOWHERE, APT_CONFIG=str(apt))
    assert done.returncode == 1
    assert "remedy:" in done.stderr
    assert machine.image_id(STANDIN) == before


def test_a_stand_in_is_replaced_only_if_a_file_changed(machine: Machine) -> None:
    ids = []
    for content in ("12.1", "12.1", "12.2"):
        done = machine.run(f"import_os_standin {machine.tar(content)}", NOWHERE)
        assert done.returncode == 0, done.stderr
        ids.append(machine.image_id(STANDIN))
    assert ids[0] == ids[1] != ids[2]
    assert machine.client.images.list(f"{STANDIN}-new") == []
    machine.client.images.remove(ids[0], force=True)


@pytest.mark.parametrize("options", [["--refresh", "--no-engine"], ["--refresh", "--torch"], ["--again"]])
def test_incompatible_options_are_refused(options: list[str]) -> None:
    argv = [f"{REPOSITORY}/scripts/bootstrap", *options]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "unknown options" in done.stderr
