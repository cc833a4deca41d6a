"""Stand-in conda channel with the packages of environment.yml, for machines that can reach no conda channel.

It is recognisable everywhere: by its lock's name, its build strings (`debian_0`, `standin_0`) and the label of its
image. Locks solved from it never replace the locks of a real channel.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from rattler.index import index_fs

from build.conda import CondaError, client, environment
from build.conda.standin import cpython, package
from build.conda.standin.package import Metadata

LOCK_NAME = "conda-standin.lock"

_PIP = re.compile(r"pip-(?P<version>[^-]+)-py3-none-any\.whl")
_PIP_COMMANDS = ("pip = pip._internal.cli.main:main", "pip3 = pip._internal.cli.main:main")

# Debian's OpenSSL looks for certificates in /etc/ssl, which a slim image does not have.
_ACTIVATE_CERTIFICATES = 'export SSL_CERT_FILE="${SSL_CERT_FILE:-$CONDA_PREFIX/ssl/cacert.pem}"\n'


async def make(system: Path, wheels: Path, environment_file: Path, channel: Path) -> None:
    """Create the channel folder: packages, index, and the lock of `environment_file` solved from it.

    Args:
        system: root of a Debian 12 tree with python3.11 and ca-certificates.
        wheels: folder with the wheel of pip.
        environment_file: environment.yml.
        channel: output folder. The lock contains its file:// URL, so an installation must mount it at this path.

    Raises:
        CondaError: an input is missing, or the result does not work.
    """
    _python(system, channel)
    _certificates(system, channel)
    _pip(wheels, channel)
    await index_fs(channel, write_zst=False, write_shards=False)
    # Debian's libraries need this Debian's glibc (expat: 2.36); packages of a real channel accept older versions.
    glibc = platform.libc_ver()[1]
    lock = await client.solve(environment.load([environment_file]), [channel.as_uri()], glibc)
    (channel / LOCK_NAME).write_text(lock.text())


def verify(channel: Path) -> None:
    """Check every package in the channel's index, because py-rattler does not for a channel on disk.

    Raises:
        CondaError: there is no index, a package is missing, or its sha256 differs from the index.
    """
    indexes = sorted(channel.glob("*/repodata.json"))
    if not indexes:
        raise CondaError(f"{channel} is not a channel: it has no index", remedy="build the channel again")
    for index in indexes:
        document = json.loads(index.read_text())
        for name, record in (document.get("packages", {}) | document.get("packages.conda", {})).items():
            path = index.parent / name
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"
            if found != record["sha256"]:
                raise CondaError(
                    f"{path} has sha256 {found}, the channel's index says {record['sha256']}",
                    remedy="build the channel again",
                )


def _python(system: Path, channel: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        cpython.stage(system, root)
        depends = (f"__glibc >={cpython.glibc_needed(root)}", "ca-certificates")
        package.write(
            root,
            Metadata("python", _debian_version(f"python{cpython.VERSION}"), "debian_0", "Python-2.0", depends),
            channel,
        )


def _certificates(system: Path, channel: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        (root / "ssl").mkdir()
        shutil.copy(system / "etc/ssl/certs/ca-certificates.crt", root / "ssl/cacert.pem")
        hook = root / "etc/conda/activate.d/ca-certificates.sh"
        hook.parent.mkdir(parents=True)
        hook.write_text(_ACTIVATE_CERTIFICATES)
        version = _debian_version("ca-certificates")
        package.write(root, Metadata("ca-certificates", version, "debian_0", "MPL-2.0", noarch="generic"), channel)


def _pip(wheels: Path, channel: Path) -> None:
    # conda-forge's pip depends on setuptools and wheel. pip needs neither since PEP 517, so the image omits them.
    found = [(path, match) for path in wheels.iterdir() if (match := _PIP.fullmatch(path.name))]
    if len(found) != 1:
        raise CondaError(
            f"{wheels} contains {len(found)} wheels of pip, not one", remedy="download locks/channel.txt into it"
        )
    wheel, match = found[0]
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(Path(scratch) / "site-packages")
        metadata = Metadata(
            "pip", match["version"], "standin_0", "MIT", ("python >=3.9",), noarch="python", entry_points=_PIP_COMMANDS
        )
        package.write(Path(scratch), metadata, channel)


def _debian_version(name: str) -> str:
    """The upstream part of an installed Debian package's version: 3.11.2 for 3.11.2-6+deb12u6."""
    query = ["/usr/bin/dpkg-query", "--show", "--showformat=${Version}", name]
    shown = subprocess.run(query, capture_output=True, text=True, check=False, timeout=30)
    if shown.returncode:
        raise CondaError(f"the package {name} is not installed", remedy="run this in the stage of Dockerfile.standin")
    return re.split(r"[-+~]", shown.stdout)[0]
