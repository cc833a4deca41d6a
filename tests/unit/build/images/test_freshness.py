"""Age and security updates of an image's OS packages, and their findings."""

import pytest

from build.host.findings import Level, unlisted
from build.images import freshness
from build.images.freshness import DAY_S, ImageAge, Security

NOW = 1_800_000_000.0
LIMIT = 30.0


def layer(days_ago: float, size: int = 1) -> dict[str, object]:
    return {"Created": NOW - days_ago * DAY_S, "Size": size}


def base(days_old: float, security: Security | None = None) -> ImageAge:
    return ImageAge("base", "glm-tts-base-slim:0", NOW - days_old * DAY_S, security)


def test_a_base_is_as_old_as_its_os_image() -> None:
    assert freshness.taken([layer(0, 0), layer(0), layer(90)]) == NOW - 90 * DAY_S


def test_an_os_layer_without_files_is_ignored() -> None:
    assert freshness.taken([layer(0), layer(90), layer(200, 0)]) == NOW - 90 * DAY_S


def test_packages_of_a_snapshot_are_as_old_as_the_snapshot() -> None:
    assert freshness.taken([layer(0), layer(0)], "20261001T000000Z") == 1790812800


@pytest.mark.parametrize("history", [[], [layer(0), {"Created": 0, "Size": 7}], [{"Created": NOW, "Size": 0}]])
def test_a_fixed_date_or_no_layer_is_an_unknown_age(history: list[dict[str, object]]) -> None:
    assert freshness.taken(history) is None
    (found,) = freshness.judge([ImageAge("base", "x", None)], NOW, LIMIT)
    assert (found.subject, found.level) == ("age:base", Level.NOT_VERIFIED)


SECURITY = "500 http://mirror.example/debian-security bookworm-security/main amd64 Packages"
STATUS = "100 /var/lib/dpkg/status"


def package(name: str, installed: str, *table: tuple[str, str]) -> str:
    rows = [f" {'***' if version == installed else '   '} {version} 500\n        {source}" for version, source in table]
    return "\n".join([f"{name}:", f"  Installed: {installed}", "  Candidate: x", "  Version table:", *rows, ""])


POLICY = (
    package("adduser", "3.134", ("3.134", STATUS))
    + package("libc6:amd64", "2.36-9", ("2.36-9+deb12u7", SECURITY), ("2.36-9", STATUS))
    + package("apt", "2.6.2", ("2.6.2", f"{SECURITY}\n        {STATUS}"))
    + package("bsdutils", "1:2.38-5", ("1:2.38-5", STATUS), ("1:2.38-3", SECURITY))
    + package("tini", "0.19", ("0.20", SECURITY.replace("-security/", "/")), ("0.19", STATUS))
    # The fix in jammy-security counts even if jammy-updates has a later version.
    + package("openssl", "3.0.1", ("3.0.3", SECURITY.replace("-security/", "-updates/")), ("3.0.2", SECURITY))
)


def test_only_a_newer_version_of_a_security_suite_is_an_update() -> None:
    assert freshness.security_updates(POLICY) == (
        "libc6:amd64 2.36-9 -> 2.36-9+deb12u7",
        "openssl 3.0.1 -> 3.0.2",
    )


def test_an_output_without_a_package_raises() -> None:
    with pytest.raises(ValueError, match="no installed package"):
        freshness.security_updates("")


@pytest.mark.parametrize(
    ("image", "levels"),
    [
        (base(29), {"age:base": Level.OK}),
        (base(31), {"age:base": Level.WARNING}),
        (base(31, Security()), {"age:base": Level.OK, "fixes:base": Level.OK}),
        (base(1, Security(("x 1 -> 2",))), {"age:base": Level.OK, "fixes:base": Level.WARNING}),
        (base(31, Security(("x 1 -> 2",))), {"age:base": Level.WARNING, "fixes:base": Level.WARNING}),
        (base(1, Security(failed="no route")), {"age:base": Level.OK, "fixes:base": Level.NOT_VERIFIED}),
        (base(31, Security(failed="no route")), {"age:base": Level.WARNING, "fixes:base": Level.NOT_VERIFIED}),
    ],
)
def test_age_and_updates_are_judged_separately(image: ImageAge, levels: dict[str, Level]) -> None:
    found = freshness.judge([image], NOW, LIMIT)
    assert {finding.subject: finding.level for finding in found} == levels
    assert all(finding.remedy for finding in found if finding.level is Level.WARNING)


def test_an_unreachable_archive_is_not_verified_and_strict_refuses_it() -> None:
    found = freshness.judge([base(1, Security(failed="no route"))], NOW, LIMIT)
    assert "no security updates" not in " ".join(finding.message for finding in found)
    assert unlisted(found, "gpu  no GPU\n") == ["fixes:base"]


def test_a_message_names_a_few_packages_and_counts_the_rest() -> None:
    updates = Security(tuple(f"p{number} 1 -> 2" for number in range(8)))
    messages = [finding.message for finding in freshness.judge([base(1, updates)], NOW, LIMIT)]
    (message,) = [message for message in messages if "lacks" in message]
    assert "lacks 8 security updates" in message
    assert "p4 1 -> 2 and 3 more" in message


@pytest.mark.parametrize(("days", "words"), [(0, "0 days"), (1, "1 day)"), (45, "45 days")])
def test_an_age_is_a_date_and_days(days: float, words: str) -> None:
    assert words in freshness.describe(base(days), NOW)


@pytest.mark.parametrize(
    ("subject", "then"), [("proxy", ""), ("live-proxy", "make up"), ("live-app-blue", "build.cutover switch")]
)
def test_the_remedy_for_a_running_image_has_a_second_step(subject: str, then: str) -> None:
    (found,) = freshness.judge([ImageAge(subject, "x", NOW - 31 * DAY_S)], NOW, LIMIT)
    assert freshness.REFRESH in found.remedy
    assert then in found.remedy
    assert (", then" in found.remedy) == bool(then)
