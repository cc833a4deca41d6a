"""The age of images and their security updates, with a real engine and a real apt, from archives of the test."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from build.docker.engine import DockerEngine
from build.errors import NotHealthyError
from build.images import freshness_reader
from build.images.freshness import Security
from harness import images
from harness.stack import PREFIX, Stack

# An archive inside the image: SUITE is its name, and it has VERSION of the package base-files (installed: 12.*).
ARCHIVE = """FROM {os_image}
RUN rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* && mkdir -p /archive/dists/SUITE/main/binary-amd64 \\
 && cd /archive/dists/SUITE \\
 && printf 'Package: base-files\\nArchitecture: amd64\\nVersion: VERSION\\nFilename: x.deb\\nSize: 1\\n' \\
        >main/binary-amd64/Packages \\
 && printf 'Suite: SUITE\\nCodename: SUITE\\nArchitectures: amd64\\nComponents: main\\nSHA256:\\n %s %s %s\\n' \\
        $(sha256sum main/binary-amd64/Packages | cut -d ' ' -f 1) $(stat -c %s main/binary-amd64/Packages) \\
        main/binary-amd64/Packages >Release
"""
ONE_LINE = "RUN echo 'deb [trusted=yes] AT SUITE main' >/etc/apt/sources.list\n"
# Two suites in one paragraph, as in Ubuntu's sources; no archive exists for the first one.
DEB822 = (
    "RUN printf '# a comment\\nTypes: deb\\nURIs: AT\\nSuites: noble SUITE\\nComponents: main\\nTrusted: yes\\n' "
    ">/etc/apt/sources.list.d/x.sources\n"
)
TAG = f"{PREFIX}archive"


@pytest.fixture
def tags() -> Iterator[list[str]]:
    made: list[str] = []
    yield made
    client = docker.from_env()
    for tag in made:
        client.images.remove(tag, force=True)
    client.close()


def security_of(
    tags: list[str], suite: str, version: str, sources: str = ONE_LINE, uri: str = "file:/archive"
) -> Security:
    dockerfile = (ARCHIVE + sources).replace("SUITE", suite).replace("VERSION", version).replace("AT", uri)
    # With an entrypoint and an unprivileged user, as in the base image.
    tags.append(f"{TAG}:{len(tags)}")
    images.build(tags[-1], dockerfile + 'USER 10001:10001\nENTRYPOINT ["/bin/false"]\n')
    return freshness_reader.read_security(DockerEngine(), tags[-1])


@pytest.mark.parametrize("sources", [ONE_LINE, DEB822])
def test_a_newer_package_in_a_security_suite_is_named(tags: list[str], sources: str) -> None:
    found = security_of(tags, "bookworm-security", "99", sources)
    assert found.failed == ""
    (update,) = found.updates
    assert update.startswith("base-files 12")
    assert update.endswith(" -> 99")


def test_an_older_package_in_a_security_suite_is_not_an_update(tags: list[str]) -> None:
    assert security_of(tags, "bookworm-security", "1") == Security()


@pytest.mark.parametrize(
    ("suite", "uri", "reason"),
    [
        ("bookworm-updates", "file:/archive", "name no security suite"),
        ("bookworm-security", "file:/nothing", "file:/nothing"),
        ("bookworm-security", "http://127.0.0.1:9/debian", "127.0.0.1"),
    ],
)
def test_a_failed_query_reports_no_updates_and_the_reason(tags: list[str], suite: str, uri: str, reason: str) -> None:
    found = security_of(tags, suite, "99", uri=uri)
    assert found.updates == ()
    assert reason in found.failed


def test_an_image_without_a_shell_is_not_verified() -> None:
    assert freshness_reader.read_security(DockerEngine(), f"{TAG}:none").failed


def test_doctor_build_and_history_report_old_images(stack: Stack) -> None:
    within = stack.run("build.doctor", CUTOVER_BASE_MAX_AGE_DAYS="3650").stdout
    for subject in ("base", "proxy"):
        assert f"  age:{subject}" in within
        assert f"  fixes:{subject}" in within
    assert "older than" not in within
    assert "older than 0 days" in stack.run("build.doctor", CUTOVER_BASE_MAX_AGE_DAYS="0").stdout
    built = stack.run("build.images", CUTOVER_BASE_MAX_AGE_DAYS="0")
    assert "glm-tts-base-slim:" in built.stderr
    assert built.stderr.count("older than 0 days") == 2
    assert "older than" not in stack.run("build.images", CUTOVER_BASE_MAX_AGE_DAYS="3650").stderr
    assert "refresh" in stack.run("build.images", "history", CUTOVER_BASE_MAX_AGE_DAYS="0").stdout
    history = stack.run("build.images", "history", CUTOVER_BASE_MAX_AGE_DAYS="3650").stdout
    assert " day" in history
    assert "refresh" not in history


@pytest.mark.alone  # no other process may build a newer base at the same time
def test_a_host_with_an_unreachable_archive_does_not_pass_strict(stack: Stack) -> None:
    # The newest base on the engine, with an unreachable package source.
    tag = f"glm-tts-base-slim:{stack.project}"
    images.build(
        tag,
        # The command contains the project's name: a cached layer would have the date of an earlier run.
        f"FROM {{os_image}}\nRUN : {stack.project} && rm -rf /etc/apt/sources.list.d/* \\\n"
        " && echo 'deb [trusted=yes] http://127.0.0.1:9/debian bookworm-security main' >/etc/apt/sources.list\n",
    )
    try:
        done = stack.run("build.doctor", "--strict", check=False)
    finally:
        stack.docker.images.remove(tag, force=True)
    assert done.returncode == NotHealthyError.exit_code
    assert "fixes:base" in done.stderr
    assert "not verified  fixes:base" in done.stdout
