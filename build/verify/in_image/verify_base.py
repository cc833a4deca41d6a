"""Check inside a base image (`python -c`) what is installed and whether it works; print JSON."""

import base64
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import json
import os
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    runtime, soundfile, numpy = map(importlib.import_module, ("onnxruntime", "soundfile", "numpy"))
    file = io.BytesIO()
    tone = numpy.sin(numpy.arange(2205) / 10).astype("float32") / 2
    soundfile.write(file, tone, 22050, format="WAV", subtype="PCM_16")
    read, rate = soundfile.read(io.BytesIO(file.getvalue()))
    session = runtime.InferenceSession(identity_model(), providers=["CPUExecutionProvider"])
    one = numpy.ones(1, dtype="float32")
    name = os.environ.get("CONDA_DEFAULT_ENV", "")
    output: dict[str, Any] = {
        "python": "{}.{}".format(*sys.version_info[:2]),
        "env": name if Path(sys.prefix).name == name else f"{name} at {sys.prefix}",
        "onnxruntime": runtime.__version__,
        "providers": session.get_providers(),
        "inference": bool(session.run(None, {"x": one})[0] == one),
        "wav": rate == 22050 and len(read) == len(tone) and float(abs(read - tone).max()) < 1e-3,
        "authorities": unexpected_authorities(),
        "locks": {path.name: path.read_text() for path in Path("/opt/locks").iterdir() if path.suffix in LOCKS},
    }
    if importlib.util.find_spec("torch"):
        output |= inspect_torch()
    print(json.dumps(output))  # noqa: T201 - stdout is the output


LOCKS = {".txt", ".lock"}


def inspect_torch() -> dict[str, Any]:
    """Versions of torch, whether it has a GPU, and CUDA libraries loaded after a matrix product and a convolution."""
    torch = importlib.import_module("torch")
    gpu = torch.cuda.is_available()
    one = torch.ones(8, 8, device="cuda" if gpu else "cpu")
    torch.nn.functional.conv2d((one @ one)[None, None], one[None, None, :3, :3])
    maps = Path("/proc/self/maps").read_text()
    return {
        "torch": torch.__version__.partition("+")[0],
        "torch_cuda": torch.version.cuda,
        "gpu": gpu,
        "libraries": sorted(set(re.findall(r"(/\S+/lib(?:cudart|cublas|cudnn|cuda)\.so\S*)", maps))),
    }


DPKG = Path("/var/lib/dpkg/info/ca-certificates.md5sums")
DEBIAN_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL = Path("/usr/local/share/ca-certificates")
BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")


def unexpected_authorities() -> list[str]:
    """Certificates that no package installed, with their bundle, such as the CA of a network that inspects TLS."""
    distribution = {certificate for path in distribution_files() for certificate in certificates(path.read_bytes())}
    known, bundles = set(distribution), {DEBIAN_BUNDLE}
    changed: dict[Path, bytes] = {}  # pip's bundle is recorded twice, by conda and by the wheel
    for path, sha, size in recorded_bundles():
        data = path.read_bytes() if path.exists() else b""
        bundles.add(path.resolve())
        if hashlib.sha256(data).hexdigest() == sha:
            known.update(certificates(data))
        elif data:
            # If data was only appended, report only the appended part.
            changed[path] = data[size:] if hashlib.sha256(data[:size]).hexdigest() == sha else data
    found = []
    for path, data in changed.items():
        found += unknown(known, data, path) or [f"{path} differs from the file of its package"]
    if DEBIAN_BUNDLE.exists():
        found += unknown(distribution, DEBIAN_BUNDLE.read_bytes(), DEBIAN_BUNDLE)
    found += [str(path) for path in LOCAL.rglob("*") if path.is_file()]
    variables = {name: os.environ.get(name) for name in BUNDLE_VARIABLES}
    return found + [
        f"{name}={path}" for name, path in variables.items() if path and Path(path).resolve() not in bundles
    ]


def unknown(known: set[bytes], data: bytes, bundle: Path) -> list[str]:
    return [f"{subject(certificate)} in {bundle}" for certificate in certificates(data) if certificate not in known]


def recorded_bundles() -> Iterator[tuple[Path, str, int]]:
    """Each bundle that a conda package or a wheel installed, with its recorded sha256 and size in bytes."""
    for record in Path(sys.prefix, "conda-meta").glob("*.json"):
        for entry in json.loads(record.read_text())["paths_data"]["paths"]:
            if entry["_path"].endswith("cacert.pem"):
                yield Path(sys.prefix, entry["_path"]), entry["sha256"], entry["size_in_bytes"]
    for distribution in importlib.metadata.distributions():
        for file in distribution.files or ():
            if file.name == "cacert.pem" and file.hash:
                sha = base64.urlsafe_b64decode(file.hash.value + "=").hex()
                yield Path(str(file.locate())), sha, file.size or 0


def distribution_files() -> Iterator[Path]:
    """The unchanged certificate files of Debian's ca-certificates package."""
    for row in DPKG.read_text().splitlines() if DPKG.exists() else ():
        md5, name = row.split(maxsplit=1)
        path = Path("/", name)
        good = path.exists() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == md5
        if good and path.suffix == ".crt":
            yield path


def certificates(bundle: bytes) -> list[bytes]:
    """The certificates of a PEM file, as DER."""
    pem = r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----"
    return [ssl.PEM_cert_to_DER_cert(text) for text in re.findall(pem, bundle.decode("latin-1"), re.DOTALL)]


def subject(certificate: bytes) -> str:
    """Name of a certificate authority; the fingerprint if the certificate has no name or is not an authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificate)
    loaded: list[dict[str, Any]] = context.get_ca_certs()
    fields = {name: text for authority in loaded for part in authority["subject"] for name, text in part}
    kinds = (fields.get(kind) for kind in ("commonName", "organizationalUnitName", "organizationName"))
    return next(filter(None, kinds), f"sha256:{hashlib.sha256(certificate).hexdigest()}")


def identity_model() -> bytes:
    """The ONNX model y = x, encoded as protobuf by hand because the image has no package that can write one."""

    def part(field: int, content: bytes) -> bytes:
        return bytes([field << 3 | 2, len(content)]) + content

    def number(field: int, value: int) -> bytes:
        return bytes([field << 3, value])

    one_float = part(1, number(1, 1) + part(2, part(1, number(1, 1))))
    node = part(1, b"x") + part(2, b"y") + part(4, b"Identity")
    ends = part(11, part(1, b"x") + part(2, one_float)) + part(12, part(1, b"y") + part(2, one_float))
    return number(1, 8) + part(7, part(1, node) + part(2, b"g") + ends) + part(8, number(2, 17))


main()
