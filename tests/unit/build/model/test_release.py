"""Unit tests of build.model.release."""

from __future__ import annotations

import pytest

from build.model.release import Release


@pytest.mark.parametrize(("suffix", "name"), [("", "0123456789ab"), ("-dirty", "0123456789ab-dirty")])
def test_a_release_is_shown_by_its_short_sha(suffix: str, name: str) -> None:
    sha = "0123456789abcdef0123456789abcdef01234567"
    assert str(Release(sha + suffix, "sha256:1")) == name
