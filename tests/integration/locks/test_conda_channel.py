"""The stand-in conda channel: copied out of its image, served over HTTP, solved and installed from."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from build.conda import CondaError, client, explicit, virtual
from build.conda.explicit import ExplicitLock
from build.conda.standin import channel
from build.console import Reporter
from build.docker import buildx, oneshot
from build.docker.buildx import Recipe
from build.docker.engine import DockerEngine
from build.docker.image import TaggedImage
from build.errors import CommandFailedError
from build.images import build_secrets
from build.images.builder import OS_IMAGES, ImageBuilder
from build.locks import conda_locks
from build.locks.index import conda_lock
from build.settings import load
from build.system import git
from build.system.sources import Sources
from harness.recorded_progress import RecordedProgress

REPOSITORY = Path(__file__).resolve().parents[3]
FLAVOURS = ("slim", "cuda")


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: ARG002 - as it is called
        return


@pytest.fixture(scope="module")
def engine() -> DockerEngine:
    return DockerEngine()


@pytest.fixture(scope="module")
def image(engine: DockerEngine) -> TaggedImage:
    settings = load(REPOSITORY, {**os.environ, "CUTOVER_FLAVOUR": "slim"})
    return ImageBuilder(settings, engine, Reporter(), git.read(REPOSITORY)).channel()


@pytest.fixture(scope="module")
def unpacked(engine: DockerEngine, image: TaggedImage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    conda_locks.unpack_channel(engine, str(image.image.id), folder)
    return folder


@pytest.fixture
def folder(unpacked: Path, tmp_path: Path) -> Path:
    """A copy of the channel that a test may change."""
    return Path(shutil.copytree(unpacked, tmp_path / "channel"))


@pytest.fixture
def url(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of the channel over HTTP."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone with the project's environment.yml and an unreachable channel."""
    clone = tmp_path / "clone"
    (clone / "locks").mkdir(parents=True)
    text = (REPOSITORY / "environment.yml").read_text().replace("- conda-forge\n", "- file:///nowhere\n")
    assert "file:///nowhere" in text
    (clone / "environment.yml").write_text(text)
    return clone


def not_needed() -> tuple[DockerEngine, TaggedImage]:
    raise AssertionError("a channel that answers needs no other")


def own_lock(folder: Path) -> ExplicitLock:
    return explicit.parse((folder / channel.LOCK_NAME).read_text(), channel.LOCK_NAME)


def solved(root: Path, flavour: str, source: str, folder: Path) -> ExplicitLock:
    glibc = virtual.glibc_of(own_lock(folder).virtual_packages)
    name, changed = conda_locks.write(root, flavour, RecordedProgress(), not_needed, [source], glibc)
    assert name == f"locks/conda-standin-{flavour}-linux-64.lock"
    assert {change.name for change in changed} == {"python", "pip", "ca-certificates"}
    return explicit.parse((root / name).read_text(), name)


def spoil(folder: Path) -> str:
    """Append a byte to the package of pip, which readers of the archive ignore; return its file name."""
    package = next((folder / "noarch").glob("pip-*.conda"))
    package.write_bytes(package.read_bytes() + b"!")
    return package.name


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_channel_over_http_gives_a_lock_and_an_environment_that_works(
    root: Path, folder: Path, url: str, tmp_path: Path, flavour: str
) -> None:
    lock = solved(root, flavour, url, folder)
    assert {package.channel for package in lock.packages} == {url}
    assert ("__cuda=12.0=0" in lock.virtual_packages) == (flavour == "cuda")
    prefix = tmp_path / "env"
    asyncio.run(client.install(lock, prefix))
    shown = subprocess.run(
        [prefix / "bin/python", "-I", "-m", "pip", "--version"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert str(prefix) in shown
    assert "python 3.11" in shown


@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_tampered_package_is_refused_and_nothing_is_installed(
    root: Path, folder: Path, url: str, tmp_path: Path, flavour: str, scheme: str
) -> None:
    lock = solved(root, flavour, url if scheme == "http" else folder.as_uri(), folder)
    assert {package.url.partition(":")[0] for package in lock.packages} == {scheme}
    spoiled = spoil(folder)
    with pytest.raises(CondaError, match=r"has sha256 [0-9a-f]{64}, the lock says") as refused:
        asyncio.run(client.install(lock, tmp_path / "env"))
    assert spoiled in refused.value.message
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_stand_in_channel_is_used_and_named_if_no_channel_answers(
    engine: DockerEngine, image: TaggedImage, root: Path, unpacked: Path, flavour: str
) -> None:
    progress = RecordedProgress()
    name, _ = conda_locks.write(root, flavour, progress, lambda: (engine, image))
    assert [path.name for path in (root / "locks").iterdir()] == [f"conda-standin-{flavour}-linux-64.lock"]
    assert explicit.parse((root / name).read_text(), name).packages == own_lock(unpacked).packages
    assert "cannot be reached; using the stand-in channel" in progress
    assert "this is not a conda-forge lock" in progress


def test_a_tampered_stand_in_channel_is_refused(
    engine: DockerEngine, image: TaggedImage, root: Path, folder: Path
) -> None:
    spoiled, tag = spoil(folder), f"glm-tts-test-channel:{os.getpid()}"
    (folder / "Dockerfile").write_text(f"FROM {image.reference}\nCOPY noarch/{spoiled} /noarch/\n")
    buildx.build(folder, Recipe("Dockerfile"), tag=tag)
    try:
        tampered = engine.image(tag)
        assert tampered
        with pytest.raises(CommandFailedError, match=r"has sha256 [0-9a-f]{64}, the channel's index says") as refused:
            conda_locks.write(root, "slim", RecordedProgress(), lambda: (engine, TaggedImage(tag, tampered)))
    finally:
        engine.client.images.remove(tag)
    assert spoiled in refused.value.message
    assert "No lock was written" in refused.value.message
    assert list((root / "locks").iterdir()) == []


def test_a_base_is_built_from_the_lock_of_its_flavour_if_it_exists(
    engine: DockerEngine, unpacked: Path, tmp_path: Path
) -> None:
    tree, tag = tmp_path / "tree", f"glm-tts-test-conda:{os.getpid()}"
    tree.mkdir()
    Sources(REPOSITORY, git.read(REPOSITORY)).export(("Dockerfile.base", "build/conda", "locks"), tree)
    # Without its lock the folder is like a reachable genuine channel.
    shutil.copytree(unpacked, tmp_path / "packages", ignore=shutil.ignore_patterns(channel.LOCK_NAME))
    shutil.copy(unpacked / channel.LOCK_NAME, tree / conda_lock("slim"))
    contexts = {"channel": str(tmp_path / "packages")}
    arguments = {"OS_IMAGE": next(name for name in OS_IMAGES if engine.image(name))}
    recipe = Recipe("Dockerfile.base", target="conda-slim", args=arguments, contexts=contexts)
    secrets = [*build_secrets.ca(), *build_secrets.channels()]
    buildx.build(tree, recipe, tag=tag, secrets=secrets)
    try:
        oneshot.copy_out(engine, tag, ["/opt/locks"], tmp_path)
    finally:
        engine.client.images.remove(tag)
    assert (tmp_path / "locks/conda-source").read_text() == "channel\n"
    assert (tmp_path / "locks/conda.lock").read_text() == own_lock(unpacked).text()
    with pytest.raises(CommandFailedError):
        buildx.build(tree, replace(recipe, target="conda-cuda"), tag=tag, secrets=secrets)
