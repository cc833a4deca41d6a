"""Which lock an image is installed from: stand-in, real channel, or a refusal."""

from pathlib import Path

import pytest

from build.conda import CondaError
from build.conda.__main__ import choose_lock
from build.conda.standin.channel import LOCK_NAME


def test_a_real_lock_is_used_where_no_standin_is_given(tmp_path: Path) -> None:
    real = tmp_path / "conda-forge-linux-64.lock"
    real.touch()
    assert choose_lock(tmp_path / "channel", real) == ("channel", real)


def test_a_standin_that_is_given_is_used_and_named(tmp_path: Path) -> None:
    real, standin = tmp_path / "conda-forge-linux-64.lock", tmp_path / LOCK_NAME
    real.touch()
    standin.touch()
    assert choose_lock(tmp_path, real) == ("stand-in", standin)


def test_without_either_nothing_is_made_up(tmp_path: Path) -> None:
    with pytest.raises(CondaError, match=r"there is no conda-forge-linux-64\.lock") as refused:
        choose_lock(tmp_path / "channel", tmp_path / "conda-forge-linux-64.lock")
    assert "--build-context channel=" in refused.value.remedy
