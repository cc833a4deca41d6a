"""Stored verifications, as read by the next build, by switch, gate and push, and by other clones."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from build.console import Reporter
from build.docker.engine import DockerEngine
from build.errors import UnverifiedError, VerificationError
from build.registry import referrers
from build.registry.client import Registry
from build.settings import load
from build.system import git
from build.verify import checksum, rules
from build.verify.rules import Line, VerificationReport
from build.verify.verdicts import FOLDER, Verdicts
from build.verify.verifier import Verifier
from harness.registry import Running
from harness.stack import Stack


def commit(stack: Stack, message: str) -> str:
    """Commit the clone's tree; return the SHA."""
    for argv in (["add", "--all"], ["commit", "--quiet", "-m", message]):
        subprocess.run(["git", "-C", str(stack.root), *argv], check=True)
    sha = git.read(stack.root).sha
    stack.releases.append(sha)
    return sha


@contextlib.contextmanager
def leaky(stack: Stack) -> Iterator[str]:
    """The SHA of a commit with a private key in it, while it is the clone's HEAD."""
    secret = stack.root / "service/web/id_rsa"
    secret.write_text("not really one\n")
    yield commit(stack, "a committed private key")
    secret.unlink()
    commit(stack, "without the key")


def test_a_failed_verification_stays_failed_for_every_command(stack: Stack, running: Running) -> None:
    before = stack.status()
    with leaky(stack) as sha:
        for argv in (
            ("build.images",),
            ("build.images",),
            ("build.cutover", "switch"),
            ("build.cutover", "switch", "--unverified"),
            ("build.cutover", "gate"),
            ("build.images", "--push", running.address),
        ):
            done = stack.run(*argv, check=False)
            assert done.returncode == VerificationError.exit_code, f"{argv}: {done.stderr}"
            assert "app: secrets in /app: service/web/id_rsa" in done.stderr
        assert stack.status()["colours"] == before["colours"], "nothing was touched"
        assert running.tags("glm-tts-slim") == []
        lines = stack.run("build.images", "history", "--json").stdout.splitlines()
    record = next(found for line in lines if (found := json.loads(line))["sha"] == sha)
    assert {part["part"]: part["failed"] for part in record["verification"]} == {
        "proxy": [],
        "base": [],
        "app": ["secrets in /app"],
    }
    stack.run("build.images")


def test_an_unverified_release_is_refused_until_it_is_verified(stack: Stack) -> None:
    sha = stack.release("verified, and its report lost")
    shutil.rmtree(stack.root / FOLDER)
    done = stack.run("build.cutover", "switch", check=False)
    assert done.returncode == UnverifiedError.exit_code, done.stderr
    assert "accept the image with --unverified" in done.stderr
    stack.run("build.images", "verify", f"glm-tts-slim:{sha}")
    stack.run("build.cutover", "switch")
    assert stack.journal()[-1]["event"] == "end"
    assert not next(record for record in reversed(stack.journal()) if record["event"] == "begin")["rollout"][
        "unverified"
    ]


def test_another_clone_reads_the_report_from_the_registry(stack: Stack, running: Running) -> None:
    stack.releases.append(stack.commit("published for another clone"))
    pushed = stack.run("build.images", "--push", running.address).stdout.splitlines()[-1]
    shutil.rmtree(stack.root / FOLDER)
    stack.run("build.cutover", "switch", pushed)

    registry, (repository, digest) = Registry(running.address), ("glm-tts-slim", pushed.partition("@")[2])
    bad = VerificationReport("sha256:" + "0" * 64, "app", (Line("voice", "failed", "it is silent"),))
    referrers.attach(registry, repository, digest, referrers.VERIFICATION, rules.document([bad]), {})
    shutil.rmtree(stack.root / FOLDER, ignore_errors=True)
    for argv in (("build.cutover", "switch", pushed), ("build.images", "--push", running.address)):
        done = stack.run(*argv, check=False)
        assert done.returncode == VerificationError.exit_code, f"{argv}: {done.stderr}"
        assert "app: voice: it is silent" in done.stderr


@pytest.fixture
def derive(stack: Stack) -> Iterator[Callable[[str], str]]:
    """Build changed proxy images, tagged in the project's repository."""
    made: list[str] = []

    def make(recipe: str) -> str:
        parent, tag = stack.container("proxy").attrs["Config"]["Image"], f"glm-tts-proxy:broken-{len(made)}"
        argv = ["docker", "buildx", "build", "--quiet", "--tag", tag, "-"]
        subprocess.run(argv, input=f"FROM {parent}\n{recipe}\n".encode(), check=True, capture_output=True)
        made.append(tag)
        return tag

    yield make
    for tag in made:
        subprocess.run(["docker", "image", "rm", "--force", tag], check=True, capture_output=True)


PROXIES: dict[str, tuple[list[str], *tuple[str, ...]]] = {
    "nothing": ([], "LABEL nothing=changed"),
    "more": (
        ["files of the commit", "secrets", "setuid"],
        "USER 0",
        "RUN echo '# more' >>/etc/haproxy/haproxy.cfg",
        "RUN echo x >/root/.netrc",
        "RUN chmod u+s /usr/bin/tini",
        "USER 10002:10002",
    ),
    "unreadable": (
        ["unreadable files", "configuration is valid"],
        "USER 0\nRUN chmod 600 /etc/haproxy/hold.lua\nUSER 10002:10002",
    ),
    "nonsense": (
        ["files of the commit", "configuration is valid"],
        "USER 0\nRUN echo nonsense >>/etc/haproxy/haproxy.cfg\nUSER 10002:10002",
    ),
}


@pytest.mark.parametrize("name", PROXIES)
def test_a_broken_proxy_image_fails_by_exactly_the_expected_lines(
    stack: Stack, derive: Callable[[str], str], name: str
) -> None:
    names, *recipe = PROXIES[name]
    done = stack.run("build.images", "verify", derive("\n".join(recipe)), "--json", check=False)
    assert done.returncode == (VerificationError.exit_code if names else 0), done.stderr
    report = VerificationReport.from_json(done.stdout)
    assert (report.part, sorted(line.name for line in report.failed)) == ("proxy", sorted(names))


def test_a_failed_proxy_image_stops_build_and_switch(stack: Stack) -> None:
    image = DockerEngine().image(stack.container("proxy").attrs["Config"]["Image"])
    assert image
    stack.run("build.images")
    stored = Verdicts(stack.root)
    (good,) = stored.read(str(image.id))
    stored.write(str(image.id), replace(good, lines=(*good.lines, Line("secrets", "failed", "root/.netrc"))))
    try:
        for argv in (("build.images",), ("build.cutover", "switch")):
            done = stack.run(*argv, check=False)
            assert done.returncode == VerificationError.exit_code, done.stderr
            assert "proxy: secrets: root/.netrc" in done.stderr
    finally:
        stored.write(str(image.id), good)


def test_changed_checks_verify_an_app_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    image = DockerEngine().image(f"glm-tts-slim:{stack.release('verified twice')}")
    assert image
    checker = Verifier(load(stack.root, {}), DockerEngine(), Reporter())
    base, app = checker.run(image)
    Verdicts(stack.root).write(str(image.id), replace(app, lines=(Line("voice", "failed", "by older checks"),)))
    bad = replace(base, lines=(Line("secrets", "failed", "by newer checks"),))
    assert checker.app(image, bad).failed
    assert Verdicts(stack.root).read(str(image.id))[0] == bad, "switch reads only the app's file"
    monkeypatch.setattr(checksum, "CHECKS", {**checksum.CHECKS, "app": checksum.CHECKS["app"][1:]})
    assert not checker.app(image, base).failed
