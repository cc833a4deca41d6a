"""Choice of the newest image with the same inputs."""

import pytest

from build.images import refreshed
from build.janitor import retention

KEY, OTHER = "0123456789abcdef", "0123456789abcde0"
FIRST, SECOND = refreshed.tag(KEY, 1_800_000_000), refreshed.tag(KEY, 1_800_000_001.9)


@pytest.mark.parametrize(
    ("tags", "newest"),
    [
        ([], KEY),
        ([KEY], KEY),
        ([FIRST], FIRST),
        ([SECOND, KEY, FIRST], SECOND),
        ([refreshed.tag(OTHER, 1_900_000_000), OTHER, "cache", f"{KEY}-mine"], KEY),
    ],
)
def test_the_last_refresh_is_the_newest(tags: list[str], newest: str) -> None:
    assert refreshed.newest(KEY, tags) == newest


def test_a_refresh_has_its_own_tag_that_the_janitor_recognises() -> None:
    assert len({KEY, FIRST, SECOND}) == 3
    assert all(retention.KEY.fullmatch(tag) for tag in (KEY, FIRST, SECOND))
    assert f"{KEY}-20270115T080000Z" == FIRST
