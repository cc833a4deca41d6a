"""Choice of the lock that an image build installs: stand-in, genuine channel, or a refusal."""

from pathlib import Path

import pytest

from build.conda import CondaError
from build.conda.__main__ import choose_lock
from build.conda.standin.channel import LOCK_NAME


def test_the_genuine_lock_is_used_without_a_standin(tmp_path: Path) -> None:
    real = tmp_path / "conda-forge-linux-64.lock"
    real.touch()
    assert choose_lock(tmp_path / "channel", real) == ("channel", real)


def test_the_standin_takes_precedence_and_is_named(tmp_path: Path) -> None:
    real, standin = tmp_path / "conda-forge-linux-64.lock", tmp_path / LOCK_NAME
    real.touch()
    standin.touch()
    assert choose_lock(tmp_path, real) == ("stand-in", standin)


def test_without_any_lock_the_choice_fails(tmp_path: Path) -> None:
    with pytest.raises(CondaError, match=r"there is no conda-forge-linux-64\.lock") as refused:
        choose_lock(tmp_path / "channel", tmp_path / "conda-forge-linux-64.lock")
    assert "--build-context channel=" in refused.value.remedy
