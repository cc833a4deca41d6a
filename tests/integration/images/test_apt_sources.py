"""Source of a base's Debian packages: a mirror with newer versions, or a snapshot archive with the locked versions."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import images
from harness.addresses import free_port
from harness.mirror import UNSIGNED, Mirror, serving
from harness.stack import REPOSITORY

LOCKED_AT, TODAY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC)
TIME = "20260102T030405Z"
LOCK = f"# snapshot: {TIME}\nfixed=1.1\nquiet=1.0\ntini=1.0\n"
# The three archives that have snapshots, in both formats of apt sources.
OS = """FROM {{os_image}}
RUN rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* \\
 && echo '{unsigned}' >/etc/apt/apt.conf.d/99unsigned \\
 && echo 'deb {url}/debian stable main' >/etc/apt/sources.list \\
 && echo 'deb {url}/debian-security/ stable-security main' >>/etc/apt/sources.list \\
 && printf 'Types: deb\\nURIs: {url}/ubuntu\\nSuites: jammy\\nComponents: main\\n' \\
        >/etc/apt/sources.list.d/ubuntu.sources \\
 && apt-get update -q && apt-get install -y -q fixed quiet
"""
PREPARED = """FROM {parent}
RUN --mount=target=/context /context/prepare-os '{archive}' /context/lock.txt 2>/log
"""
# Prints what the tests check in the prepared image.
SHOWN = """cat /opt/locks/apt-origin; echo ---; cat /opt/locks/apt-security; echo ---
dpkg-query -W -f '${Package}=${Version}\\n'; echo ---; cat /log; echo ---; ls /var/lib/apt/lists /tmp"""


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror with newer packages, one of them a security fix, and a snapshot that matches the lock."""
    with serving(tmp_path_factory.mktemp("mirror")) as mirror:
        snapshot = f"snapshot/{{}}/{TIME}"
        for archive in ("debian", snapshot.format("debian")):
            mirror.publish(archive, "stable", {"fixed": "1.0", "tini": "1.0"}, LOCKED_AT)
        for archive in ("ubuntu", snapshot.format("ubuntu")):
            mirror.publish(archive, "jammy", {"quiet": "1.0"}, LOCKED_AT)
        mirror.publish(snapshot.format("debian-security"), "stable-security", {"fixed": "1.1"}, LOCKED_AT)
        mirror.publish("debian", "stable", {"fixed": "1.0", "tini": "1.2"}, LOCKED_AT)
        mirror.publish("ubuntu", "jammy", {"quiet": "1.3"}, LOCKED_AT)
        mirror.publish("debian-security", "stable-security", {"fixed": "1.2"}, TODAY)
        yield mirror


@pytest.fixture(scope="module")
def os_image(mirror: Mirror) -> Iterator[str]:
    """An OS image with the packages of today's mirror."""
    tag = f"glm-tts-test-apt:{uuid.uuid4().hex}"
    images.build(tag, OS.format(url=mirror.url, unsigned=UNSIGNED))
    yield tag
    subprocess.run(["docker", "image", "rm", "--force", tag], check=True, capture_output=True)


Prepare = Callable[[str, str], dict[str, str]]


@pytest.fixture
def prepare(os_image: str, tmp_path: Path) -> Iterator[Prepare]:
    """Run prepare-os in a build; return what SHOWN prints: origin, security fixes, packages, log, remaining files."""
    tag = f"{os_image}-prepared"
    shutil.copy(REPOSITORY / "build/conda/image/prepare-os", tmp_path)

    def run(archive: str, lock: str) -> dict[str, str]:
        (tmp_path / "lock.txt").write_text(lock)
        images.build(tag, PREPARED.format(parent=os_image, archive=archive), tmp_path)
        argv = ["docker", "run", "--rm", tag, "sh", "-c", SHOWN]
        parts = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split("---\n")
        return dict(zip(("origin", "security", "packages", "log", "remaining"), parts, strict=True))

    yield run
    subprocess.run(["docker", "image", "rm", "--force", tag], check=False, capture_output=True)


def versions(packages: str) -> dict[str, str]:
    found = dict(line.split("=", 1) for line in packages.splitlines())
    return {name: found[name] for name in ("fixed", "quiet", "tini")}


def test_an_image_from_a_mirror_records_the_date_and_the_security_fixes(prepare: Prepare) -> None:
    image = prepare("", "")
    assert image["origin"] == f"mirror {TODAY:%Y%m%dT%H%M%SZ}\n"
    assert image["security"] == "fixed\n"
    assert versions(image["packages"]) == {"fixed": "1.2", "quiet": "1.3", "tini": "1.2"}


def test_an_image_from_a_snapshot_has_exactly_the_locked_versions(prepare: Prepare, mirror: Mirror) -> None:
    image = prepare(f"{mirror.url}/snapshot/", LOCK)
    assert image["origin"] == f"snapshot {TIME}\n", image["log"]
    assert versions(image["packages"]) == {"fixed": "1.1", "quiet": "1.0", "tini": "1.0"}
    assert image["security"] == "fixed\n"
    assert [line for line in image["remaining"].split() if not line.endswith(":")] == [], "temporary files remain"


@pytest.mark.parametrize(
    ("archive", "lock", "why"),
    [
        ("http://127.0.0.1:{closed}", LOCK, "Could not connect"),
        ("{url}/snapshot", LOCK.replace("fixed=1.1", "fixed=1.05"), "Version '1.05' for 'fixed' was not found"),
        ("{url}/snapshot", LOCK.partition("\n")[2], "the lock gives no snapshot time"),
    ],
    ids=["unreachable", "lacks a version", "lock without a time"],
)
def test_an_unusable_snapshot_archive_is_named_and_the_mirror_is_used(
    prepare: Prepare, mirror: Mirror, archive: str, lock: str, why: str
) -> None:
    archive = archive.format(closed=free_port(), url=mirror.url)
    image = prepare(archive, lock)
    assert image["origin"].startswith("mirror ")
    assert why in image["log"]
    assert f"{archive} cannot give the locked versions; packages come from the mirror" in image["log"]
    assert versions(image["packages"]) == {"fixed": "1.2", "quiet": "1.3", "tini": "1.2"}
