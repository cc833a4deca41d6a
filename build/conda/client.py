"""Solve and install conda environments with py-rattler, the library that pixi uses."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import rattler
from rattler.exceptions import FetchRepoDataError, GatewayError, SolverError
from rattler.networking import AuthenticationMiddleware, Client
from rattler.shell import ActivationVariables, Shell, activate

from build.conda import CondaError, UnreachableError, access, virtual
from build.conda.environment import CondaEnvironment
from build.conda.explicit import ExplicitLock, LockedPackage
from build.conda.redaction import contains_credentials

PLATFORM = rattler.Subdir("linux-64")

_DOWNLOADS = 8
_TIMEOUT_S = 60


async def solve(
    environment: CondaEnvironment, channels: Sequence[str] = (), glibc: str = virtual.GLIBC, flavour: str = "slim"
) -> ExplicitLock:
    """Solve an environment into a lock.

    Args:
        channels: names or URLs to use instead of the environment's own channels.
        glibc: version on the system that the environment will run on.
        flavour: only cuda is solved for a GPU.

    Raises:
        UnreachableError: a channel does not answer.
        CondaError: the specs conflict, or a channel URL contains credentials.
    """
    sources = tuple(channels) or environment.channels
    _refuse_credentials(sources + environment.specs)
    virtual_packages = virtual.packages(flavour, glibc)
    with _convert_errors(environment.name, sources):
        records = await rattler.solve(
            list(sources),
            gateway=rattler.Gateway(client=Client([AuthenticationMiddleware()])),
            specs=[rattler.MatchSpec(spec, strict=False) for spec in environment.specs],
            platforms=[PLATFORM, rattler.Subdir("noarch")],
            virtual_packages=[_virtual_package(text) for text in virtual_packages],
        )
    return ExplicitLock(
        environment=environment.name,
        channels=sources,
        virtual_packages=virtual_packages,
        packages=tuple(_locked(record) for record in _in_install_order(records)),
    )


@contextmanager
def _convert_errors(name: str, sources: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except SolverError as error:
        raise CondaError(
            f"{name} cannot be solved from {', '.join(sources)}: {error}",
            remedy="change the specs in environment.yml",
        ) from None
    except (GatewayError, FetchRepoDataError) as error:
        raise UnreachableError(
            f"no answer from {', '.join(sources)}: {error}",
            remedy="give a channel that this machine can reach (--channel URL), or write the lock where it can be",
        ) from None


def _refuse_credentials(texts: Sequence[str]) -> None:
    if wrong := [text for text in texts if contains_credentials(text)]:
        raise CondaError(
            f"credentials in {', '.join(wrong)}: the lock and the image would contain them", remedy=access.REMEDY
        )


def _virtual_package(text: str) -> rattler.GenericVirtualPackage:
    name, version, build = text.split("=")
    return rattler.GenericVirtualPackage(
        rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
    )


def _in_install_order(records: list[rattler.RepoDataRecord]) -> list[rattler.RepoDataRecord]:
    by_name = {record.name.normalized: record for record in records}
    return [by_name[record.name.normalized] for record in rattler.PackageRecord.sort_topologically(list(records))]


def _locked(record: rattler.RepoDataRecord) -> LockedPackage:
    if record.sha256 is None:
        raise CondaError(f"the channel gives no sha256 for {record.url}", remedy="use a channel that does")
    return LockedPackage(str(record.url), record.sha256.hex())


async def install(lock: ExplicitLock, prefix: Path) -> None:
    """Create the environment at `prefix` from packages whose sha256 matches the lock.

    Raises:
        CondaError: a package cannot be fetched or has another sha256; nothing is installed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            archives = list(pool.map(lambda package: fetch(package, Path(scratch)), lock.packages))
        # Read the records from the archives: the lock's lines lack a package's dependencies and whether it is noarch.
        # Without these in conda-meta the environment cannot be updated or checked later.
        records = [await rattler.RepoDataRecord.from_package_archive(archive) for archive in archives]
        await rattler.install(
            records,
            prefix,
            cache_dir=Path(scratch) / "cache",
            platform=PLATFORM,
            execute_link_scripts=False,
            show_progress=False,
        )
    _record_origins(lock, prefix)


def fetch(package: LockedPackage, folder: Path) -> Path:
    """Download a package into `folder`, verify it and return its path.

    py-rattler does not check the hash for file:// channels, so this function does.

    Raises:
        CondaError: the package cannot be fetched or has another sha256.
    """
    target = folder / package.file_name
    request = access.request(package.url)
    try:
        # explicit.parse accepts only http, https and file URLs.
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as source, target.open("wb") as copy:  # noqa: S310
            shutil.copyfileobj(source, copy)
    except OSError as error:
        raise CondaError(
            f"{package.url} cannot be fetched: {error}", remedy="check that its channel is reachable"
        ) from None
    with target.open("rb") as copy:
        found = hashlib.file_digest(copy, "sha256").hexdigest()
    if found != package.sha256:
        target.unlink()
        raise CondaError(
            f"{package.url} has sha256 {found}, the lock says {package.sha256}",
            remedy="find out which of the two changed before you write the lock again",
        )
    return target


def _record_origins(lock: ExplicitLock, prefix: Path) -> None:
    # Without this, conda-meta names the deleted scratch folder as the origin of every package; its random name would
    # make builds differ. The files would also be readable only by their owner, but the image runs as another user.
    by_file = {package.file_name: package for package in lock.packages}
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        for scratch in ("extracted_package_dir", "package_tarball_full_path", "link"):
            record.pop(scratch, None)
        package = by_file[record["fn"]]
        record.update(url=package.url, channel=package.channel)
        path.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
        path.chmod(0o644)


def activation_script(prefix: Path) -> str:
    """The script that a shell sources to activate the environment: activate.d scripts in order, and their variables.

    It does not set PATH. The image sets PATH with ENV, so that `docker exec` has it too.
    """
    script = activate(prefix, ActivationVariables(current_path=["/usr/bin"]), Shell.bash).script
    return "".join(line for line in script.splitlines(keepends=True) if not line.startswith("export PATH="))
