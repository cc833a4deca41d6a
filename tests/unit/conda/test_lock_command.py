"""build.lock: what it refuses, without a network."""

from pathlib import Path

import pytest

from build import lock
from build.errors import CommandFailedError, MissingFileError


def test_outside_the_clone_it_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFileError, match=r"environment\.yml"):
        lock.conda()
    with pytest.raises(MissingFileError, match=r"locks/uv\.in"):
        lock.pip()


def test_without_a_channels_answer_no_lock_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locks").mkdir()
    lock.ENVIRONMENT.write_text("name: test\nchannels: [nowhere]\ndependencies: [python]\n")
    with pytest.raises(CommandFailedError, match="No lock was written"):
        lock.conda([(tmp_path / "nowhere").as_uri()])
    assert not lock.CONDA_LOCK.exists()
