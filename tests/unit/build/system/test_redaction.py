"""Redaction of credentials in texts of other programs and of users."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from build.conda.redaction import contains_credentials, redact
from build.console import Reporter
from build.errors import CommandFailedError, UsageError
from build.locks import pip_locks
from build.system import command

REPOSITORY = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://joe:s3cret@host:8443/path failed", "GET https://***@host:8443/path failed"),
        ("https://ghp_s3cret@github.com/team/project.git", "https://***@github.com/team/project.git"),
        ("http://joe:p@ss@proxy.example:3128", "http://***@proxy.example:3128"),
        ("tcp://joe:s3cret@engine.example:2376", "tcp://***@engine.example:2376"),
        ("https://conda.anaconda.org/t/tk-s3cret/team/linux-64", "https://conda.anaconda.org/t/***/team/linux-64"),
        (
            "/blob?X-Amz-Credential=s3cret&X-Amz-Signature=s3cret&x=1",
            "/blob?X-Amz-Credential=***&X-Amz-Signature=***&x=1",
        ),
        ("--index-url=https://joe:s3cret@pypi.example/simple", "--index-url=https://***@pypi.example/simple"),
    ],
)
def test_credentials_are_redacted(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert contains_credentials(text)
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "ssh://deploy@host.example",
        "git@github.com:team/project.git",
        "registry.example/team/glm-tts-slim@sha256:0123",
        "https://registry.example/v2/x@sha256:0123",
        "https://files.example/packages/source/t/torch/torch.whl",
        "file:///t/channel/linux-64",
    ],
)
def test_other_texts_are_unchanged(text: str) -> None:
    assert redact(text) == text


def test_a_failed_command_shows_no_credentials(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = "https://joe:s3cret@host.example/x"
    with pytest.raises(CommandFailedError) as failed:
        command.run(["sh", "-c", 'echo "cannot reach $0" >&2; exit 1', url])
    error = failed.value
    assert error.detail == "cannot reach https://***@host.example/x"
    assert "s3cret" not in f"{error}{error.message}{error.detail}{error.remedy}{caplog.text}"
    assert "host.example" in caplog.text


def test_progress_shows_no_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter().step("solving from https://joe:s3cret@conda.example/main")
    Reporter().note("https://conda.example/t/s3cret/main cannot be reached")
    shown = capsys.readouterr().err
    assert "s3cret" not in shown
    assert shown.count("conda.example") == 2


def test_an_index_with_credentials_is_refused_before_a_lock_is_written(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    for path in (REPOSITORY / "locks").glob("*.in"):
        text = path.read_text()
        (tmp_path / "locks" / path.name).write_text("--extra-index-url https://joe:s3cret@pypi.example/simple\n" + text)
    with pytest.raises(UsageError, match=r"contains credentials.*https://\*\*\*@pypi\.example") as refused:
        pip_locks.write(tmp_path, Reporter())
    assert "s3cret" not in str(refused.value)
    assert not list((tmp_path / "locks").glob("*.txt"))
