"""Rendering and parsing of explicit conda locks."""

import pytest

from build.conda import CondaError, explicit
from build.conda.explicit import ExplicitLock, LockedPackage

PYTHON = LockedPackage("https://channel.test/conda-forge/linux-64/python-3.11.9-hb806964_0_cpython.conda", "a" * 64)
PIP = LockedPackage("file:///channel/noarch/pip-24.0-pyhd8ed1ab_0.tar.bz2", "b" * 64)
LOCK = ExplicitLock("torch29", ("conda-forge",), ("__glibc=2.35=0", "__unix=0=0"), (PYTHON, PIP))


def test_a_lock_survives_writing_and_parsing() -> None:
    assert explicit.parse(LOCK.text(), "lock") == LOCK


def test_the_format_of_conda_itself_is_parsed() -> None:
    lock = explicit.parse(f"# made by conda\n@EXPLICIT\n\n{PYTHON.url}#{PYTHON.sha256}\n", "lock")
    assert lock.packages == (PYTHON,)
    assert lock.environment == ""


def test_a_package_has_a_file_name_and_a_channel() -> None:
    assert PYTHON.file_name == "python-3.11.9-hb806964_0_cpython.conda"
    assert PYTHON.channel == "https://channel.test/conda-forge"
    assert PIP.channel == "file:///channel"


@pytest.mark.parametrize(
    "line",
    [
        PYTHON.url,  # no hash
        f"{PYTHON.url}#{'a' * 32}",  # md5, conda's default
        f"{PYTHON.url}#sha256:{'A' * 64}",
        f"ftp://channel.test/linux-64/x-1-0.conda#{'a' * 64}",
        f"https://channel.test/linux-64/x-1-0.zip#{'a' * 64}",
    ],
)
def test_a_line_without_url_and_sha256_is_refused_and_shown(line: str) -> None:
    with pytest.raises(CondaError) as refused:
        explicit.parse(f"{LOCK.text()}{line}\n", "some.lock")
    assert "some.lock" in refused.value.message
    assert line in refused.value.message


def test_every_wrong_line_is_shown_at_once() -> None:
    with pytest.raises(CondaError) as refused:
        explicit.parse("@EXPLICIT\nfirst\nsecond\n", "lock")
    assert "first" in refused.value.message
    assert "second" in refused.value.message


@pytest.mark.parametrize("text", ["", "@EXPLICIT\n", "# environment: torch29\n"])
def test_an_empty_lock_is_refused(text: str) -> None:
    with pytest.raises(CondaError, match="no package"):
        explicit.parse(text, "lock")
