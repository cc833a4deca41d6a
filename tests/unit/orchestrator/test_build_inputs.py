"""What goes into a build besides the commit: the CA bundle as a secret, and nothing by accident."""

from pathlib import Path

import pytest

from build.decisions.lockindex import conda_lock
from build.procedures import build_images, build_secrets

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("flavour", ["slim", "cuda"])
def test_every_input_of_the_base_exists_but_the_lock_that_nobody_could_write_yet(flavour: str) -> None:
    missing = [path for path in build_images.base_inputs(flavour) if not (REPOSITORY / path).exists()]
    assert missing in ([], [conda_lock(flavour)])
    assert all((REPOSITORY / path).exists() for path in build_images.CHANNEL_INPUTS)


def test_a_dockerfile_copies_nothing_that_is_not_an_input() -> None:
    for name, inputs in (
        ("Dockerfile.base", (*build_images.base_inputs("slim"), *build_images.base_inputs("cuda"))),
        ("Dockerfile.standin", build_images.CHANNEL_INPUTS),
        ("Dockerfile.app", build_images.APP_INPUTS),
    ):
        copied = [
            word
            for line in (REPOSITORY / name).read_text().splitlines()
            if line.startswith("COPY ") and "--from" not in line
            for word in line.split()[1:-1]
            if not word.startswith(("--", "${APT_LOCK}"))  # an input where packages come from a snapshot
        ]
        assert copied
        for path in copied:
            assert path.replace(".loc[k]", ".lock").startswith(inputs), f"{name} copies {path}, which is no input"


def test_the_ca_bundle_of_the_environment_comes_before_the_system_s(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own, system = tmp_path / "own.pem", tmp_path / "system.pem"
    monkeypatch.setattr(build_secrets, "SYSTEM_BUNDLE", str(system))
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert build_secrets.ca() == []
    system.write_text("x")
    assert build_secrets.ca() == [f"id=ca,src={system}"]
    own.write_text("x")
    assert build_secrets.ca() == [f"id=ca,src={own}"]
