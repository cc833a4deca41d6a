"""Rules of a verification: forbidden content, steps above a base, and reports as JSON."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from build.errors import VerificationError
from build.locks.diff import Difference
from build.locks.drift import Drift
from build.verify import rules, verdicts
from build.verify.rules import Line, VerificationReport

REPORT = VerificationReport(
    "sha256:1", "base", (Line("size", "failed", "[9] MB"), Line("GPU", "not verified"), Line("wav", "passed")), "abc"
)
GOOD = replace(REPORT, lines=REPORT.lines[1:])
# In parts, so that no secret scanner reports this file.
KEY = b"-----BEGIN RSA " + b"PRIVATE KEY-----\nMIIEowIBAAKCAQEAxyz0123456789\n"
TOKENS = (b"AKIA" + b"Q" * 16, b"ghp_" + b"a1" * 18, b"hf_" + b"Ab" * 17, b"glpat-" + b"x" * 20)


def test_a_report_survives_json_and_lists_failed_lines() -> None:
    assert VerificationReport.from_json(REPORT.to_json()) == REPORT
    assert [line.name for line in REPORT.failed] == ["size"]


UNKNOWN_OUTCOME = '{"image": "", "part": "", "checks": "", "lines": [{"name": "size", "outcome": "fine"}]}'


@pytest.mark.parametrize(
    "text", ["", "[]", '{"image": "sha256:1"}', '{"image": "", "part": "", "lines": [{}]}', UNKNOWN_OUTCOME]
)
def test_an_invalid_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message may come from json
        VerificationReport.from_json(text)


def test_reports_survive_the_attached_document() -> None:
    assert rules.parse_document(rules.document([REPORT, GOOD])) == [REPORT, GOOD]
    for content in (b"", b"{}", b"[1]", UNKNOWN_OUTCOME.encode()):
        with pytest.raises(ValueError):  # noqa: PT011 - the message may come from json
            rules.parse_document(content)


def test_only_a_passed_report_on_the_same_base_by_the_same_checks_is_trusted() -> None:
    assert rules.trusted([REPORT, GOOD], "sha256:1", "abc") == GOOD
    others = (
        REPORT,
        replace(GOOD, image="sha256:2"),
        replace(GOOD, part="app"),
        replace(GOOD, checks="abd"),
        replace(GOOD, lines=()),
    )
    assert rules.trusted(others, "sha256:1", "abc") is None


@pytest.mark.parametrize(
    ("local_id", "ids", "expected"),
    [
        ("sha256:2", {"sha256:1", "sha256:2"}, "sha256:2"),
        ("sha256:1", {"sha256:1", "sha256:2"}, "sha256:1"),
        ("sha256:3", {"sha256:1", "sha256:2"}, "sha256:1"),
        ("sha256:2", {"sha256:2", "sha256:3"}, "sha256:1"),
        ("sha256:2", set(), "sha256:1"),
    ],
)
def test_a_report_from_another_image_store_has_the_local_id_if_both_name_one_image(
    local_id: str, ids: set[str], expected: str
) -> None:
    assert rules.with_local_id(REPORT, local_id, ids) == replace(REPORT, image=expected)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_the_table_shows_every_line(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(rules.table([REPORT]))
    shown = console.export_text()
    assert all(word in shown for word in ("base", "size", "failed", "[9] MB", "not verified"))


@pytest.mark.parametrize(
    "path", ["root/.netrc", "home/a/.docker/config.json", "usr/local/share/ca-certificates/own.crt"]
)
def test_a_secret_is_recognised_by_its_name(path: str) -> None:
    assert rules.is_secret(path, b"")


@pytest.mark.parametrize("content", [KEY, *TOKENS])
def test_a_secret_is_recognised_by_its_content(content: bytes) -> None:
    assert rules.is_secret("app/service/innocent.py", b"x = '" + content + b"'")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("app/keys.py", b'HEAD = "-----BEGIN PRIVATE KEY-----"'),
        ("app/ids.py", b"AKIA" + b"Q" * 30),
        ("etc/pip.conf", b"index-url = https://pypi.example/simple"),
        ("app/notes.md", b"postgres://user:password@host"),
    ],
)
def test_text_that_resembles_a_secret_passes(path: str, content: bytes) -> None:
    assert not rules.is_secret(path, content)


def test_a_password_in_a_url_of_a_configuration_file_is_a_secret() -> None:
    assert rules.is_secret("root/.config/pip/pip.conf", b"index-url = https://me:hidden@pypi.example/simple")


@pytest.mark.parametrize(
    ("path", "cache"),
    [
        ("root/.cache/pip/http/x", True),
        ("opt/conda/pkgs/a.conda", True),
        ("var/lib/apt/lists/x_Packages", True),
        ("var/cache/apt/archives/a.deb", True),
        ("var/lib/apt/lists/", False),
        ("opt/conda/envs/tts/lib/python3.11/site-packages/pip/__init__.py", False),
    ],
)
def test_files_in_package_caches_are_recognised(path: str, cache: bool) -> None:
    assert rules.is_package_cache(path) is cache


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "is_app"),
    [
        (10001, 0, 0o644, True),
        (0, 10001, 0o664, True),
        (0, 0, 0o666, True),
        (0, 0, 0o1777, False),
        (0, 0, 0o664, False),
        (0, 10001, 0o644, False),
    ],
)
def test_paths_that_the_app_user_owns_or_may_write_are_recognised(uid: int, gid: int, mode: int, is_app: bool) -> None:
    assert rules.is_owned_by_app(uid, gid, mode) is is_app


COPIES = ["COPY voices /app/voices # buildkit", "COPY service /app/service # buildkit", "ENV RELEASE=1", 'CMD ["x"]']


@pytest.mark.parametrize(
    ("steps", "layers", "found"),
    [
        (COPIES, 2, []),
        (COPIES, 3, ["3 layers, but 2 copies"]),
        ([*COPIES, "RUN /bin/sh -c true # buildkit"], 3, ["RUN /bin/sh -c true # buildkit"]),
        ([*COPIES, "COPY x /opt/x # buildkit"], 3, ["COPY x /opt/x # buildkit"]),
        ([*COPIES, "USER 0"], 2, ["USER 0"]),
        ([*COPIES, ""], 3, ["a step without a name"]),
    ],
)
def test_only_copies_into_the_app_folder_are_allowed_above_a_base(
    steps: list[str], layers: int, found: list[str]
) -> None:
    assert rules.steps_besides_copies(steps, layers) == found


def test_an_app_may_change_only_the_release_in_the_configuration() -> None:
    base = {"User": "10001", "Entrypoint": ["tini"], "WorkingDir": "/app", "Env": ["PATH=/bin"]}
    assert rules.changed_configuration(base, {**base, "Env": ["PATH=/bin", "RELEASE=1"]}) == []
    changed = {**base, "User": "0", "Env": ["PATH=/bin", "PYTHONPATH=/x"]}
    assert rules.changed_configuration(base, changed) == ["User", "PYTHONPATH"]


def test_a_lock_difference_names_the_package_and_a_missing_lock_is_not_verified() -> None:
    assert rules.lock_line("conda", None).outcome == rules.apt_line(None).outcome == "not verified"
    assert rules.lock_line("pip", []) == Line("pip lock", "passed")
    gone = rules.lock_line("pip", [Difference("pip", "torch", "2.9.1", "")])
    assert gone == Line("pip lock", "failed", "torch is missing (locked: 2.9.1)")


def test_changed_debian_packages_are_drift_and_not_a_failure() -> None:
    assert rules.apt_line([]) == Line("apt lock", "passed")
    moved = rules.apt_line([Drift("tini", "1", "2", security=True), Drift("zlib1g", "3", "", security=False)])
    assert moved == Line(
        "apt lock",
        "drift",
        "2 packages differ from the apt lock, 1 by security fixes: tini 2 (locked: 1), zlib1g is missing (locked: 3)",
    )
    verdicts.require([replace(REPORT, lines=(moved,))])


def test_a_long_list_of_findings_is_cut() -> None:
    assert rules.none_of("secrets", list("abcdefg")).detail == "a, b, c, d, e and 2 more"


def test_a_failed_line_raises() -> None:
    with pytest.raises(VerificationError) as caught:
        verdicts.require([GOOD, REPORT])
    assert caught.value.detail == "base: size: [9] MB"


def test_a_report_with_drift_survives_json_and_an_older_report_is_parsed() -> None:
    drifted = replace(GOOD, drift=(Drift("tini", "1", "2", security=True),), accepted_drift=True)
    assert VerificationReport.from_json(drifted.to_json()) == drifted
    old = {name: value for name, value in json.loads(GOOD.to_json()).items() if "drift" not in name}
    assert VerificationReport.from_json(json.dumps(old)) == GOOD


def test_the_newest_report_on_a_part_by_the_same_checks_is_found() -> None:
    assert rules.known([GOOD, REPORT], "sha256:1", "base", "abc") == REPORT
    assert rules.known([REPORT, GOOD], "sha256:1", "base", "abc") == GOOD
    assert rules.known([REPORT], "sha256:1", "base", "other checks") is None
    assert rules.known([replace(REPORT, lines=())], "sha256:1", "base", "abc") is None
