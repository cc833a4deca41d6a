"""Drift of Debian packages from the apt lock: comparison, formats, and the lock's text."""

from build.locks import drift
from build.locks.drift import AptLock, Drift
from build.locks.inventory import Inventory

INVENTORY = Inventory(
    python="3.11.2",
    name="tts",
    prefix="/env",
    channels=(),
    conda={},
    pip={},
    apt={"libpam0g": "1.5.2-6+deb12u3", "tini": "0.19.0-1+b3", "tzdata": "2026a"},
    apt_security=frozenset({"libpam0g"}),
    apt_source="mirror",
    apt_time="20261128T025300Z",
)
LOCK = AptLock("20261121T000000Z", {"libpam0g": "1.5.2-6+deb12u2", "tini": "0.19.0-1+b3", "zlib1g": "1:1.2.13"})
MOVED = (
    Drift("libpam0g", "1.5.2-6+deb12u2", "1.5.2-6+deb12u3", security=True),
    Drift("tzdata", "", "2026a", security=False),
    Drift("zlib1g", "1:1.2.13", "", security=False),
)


def test_a_lock_survives_rendering_and_parsing() -> None:
    assert AptLock.parse(LOCK.render()) == LOCK
    assert LOCK.render().splitlines()[0] == "# snapshot: 20261121T000000Z"
    assert AptLock.from_inventory(INVENTORY) == AptLock(INVENTORY.apt_time, dict(INVENTORY.apt))


def test_a_lock_without_a_time_is_parsed() -> None:
    assert AptLock.parse("tini=0.19.0-1+b3\n") == AptLock("", {"tini": "0.19.0-1+b3"})


def test_changed_added_and_missing_packages_are_drift_and_security_fixes_are_marked() -> None:
    assert drift.drift(INVENTORY, LOCK) == MOVED
    assert drift.drift(INVENTORY, AptLock.from_inventory(INVENTORY)) == ()


def test_drift_is_formatted_as_summary_label_and_text() -> None:
    assert drift.summary(MOVED) == "3 packages differ from the apt lock, 1 by security fixes"
    assert drift.summary(MOVED[:1]) == "1 package differs from the apt lock, 1 by security fixes"
    assert drift.label(MOVED) == "libpam0g=1.5.2-6+deb12u3 tzdata=2026a zlib1g="
    assert drift.label(()) == ""
    assert drift.text(MOVED).splitlines() == [
        "libpam0g  1.5.2-6+deb12u2 -> 1.5.2-6+deb12u3  (security)",
        "tzdata  none -> 2026a",
        "zlib1g  1:1.2.13 -> none",
    ]


def test_a_long_label_is_cut() -> None:
    many = [Drift(f"p{number}", "1", "2", security=False) for number in range(drift.LABELLED + 7)]
    assert drift.label(many).endswith(f"p{drift.LABELLED - 1}=2 and 7 more")
