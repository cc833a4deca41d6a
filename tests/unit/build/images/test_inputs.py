"""Inputs of image builds: files, the CA bundle as a secret, and the key of an image."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import PlatformError
from build.images import build_secrets, builder
from build.images.builder import ImageBuilder
from build.locks.index import conda_lock
from build.settings import load
from build.system import git, sources
from harness.repository import Repository, repository

__all__ = ["repository"]

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize("flavour", ["slim", "cuda"])
def test_every_input_of_the_base_exists_except_the_conda_lock(flavour: str) -> None:
    missing = [path for path in builder.base_inputs(flavour) if not (REPOSITORY / path).exists()]
    assert missing in ([], [conda_lock(flavour)])
    assert all((REPOSITORY / path).exists() for path in builder.CHANNEL_INPUTS)


def test_a_dockerfile_copies_only_inputs() -> None:
    for name, inputs in (
        ("Dockerfile.base", (*builder.base_inputs("slim"), *builder.base_inputs("cuda"))),
        ("Dockerfile.standin", builder.CHANNEL_INPUTS),
        ("Dockerfile.app", builder.APP_INPUTS),
    ):
        copied = [
            word
            for line in (REPOSITORY / name).read_text().splitlines()
            if line.startswith("COPY ") and "--from" not in line
            for word in line.split()[1:-1]
            if not word.startswith(("--", "${APT_LOCK}"))  # an input only with a snapshot archive
        ]
        assert copied
        for path in copied:
            assert path.replace(".loc[k]", ".lock").startswith(inputs), f"{name} copies {path}, which is no input"


def test_the_ca_bundle_of_the_environment_takes_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own, system = tmp_path / "own.pem", tmp_path / "system.pem"
    monkeypatch.setattr(build_secrets, "SYSTEM_BUNDLE", str(system))
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert build_secrets.ca() == []
    system.write_text("x")
    assert build_secrets.ca() == [f"id=ca,src={system}"]
    own.write_text("x")
    assert build_secrets.ca() == [f"id=ca,src={own}"]


class Pulled:
    """An engine with one image of a given platform."""

    def __init__(self, architecture: str) -> None:
        self._image = SimpleNamespace(id="sha256:1", labels={}, attrs={"Os": "linux", "Architecture": architecture})

    def image(self, _reference: str) -> SimpleNamespace:
        return self._image


def test_an_os_image_for_another_platform_is_refused(repository: Repository) -> None:
    settings = load(REPOSITORY, {})

    def upstream(architecture: str) -> object:
        engine = cast(DockerEngine, Pulled(architecture))
        return ImageBuilder(settings, engine, Reporter(), git.read(repository.root)).upstream

    assert upstream("amd64")
    with pytest.raises(PlatformError, match="is for linux/arm64") as refused:
        upstream("arm64")
    assert refused.value.remedy == "docker pull --platform linux/amd64 debian:bookworm-slim"


def test_the_key_covers_content_modes_and_the_version_of_the_export(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(inputs: tuple[str, ...] = ("proxy",)) -> str:
        settings = load(REPOSITORY, {}).model_copy(update={"root": repository.root})
        engine = cast(DockerEngine, Pulled("amd64"))
        return ImageBuilder(settings, engine, Reporter(), git.read(repository.root))._key(inputs, [], {})

    repository.write({"proxy/小明": "1"})
    repository.commit()
    first = key()
    repository.git("config", "core.quotePath", "false")
    assert key() == first
    repository.write({"beside": "x"})
    assert key() == first
    (repository.root / "proxy/小明").chmod(0o755)
    executable = key()
    assert executable != first
    repository.commit()
    assert key() == executable
    monkeypatch.setattr(sources, "EXPORT", "another")
    assert key() != executable
