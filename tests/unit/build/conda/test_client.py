"""Solve and install against a channel of two tiny packages on disk: no network, no daemon."""

import asyncio
import json
from pathlib import Path

import pytest
from rattler.index import index_fs

from build.conda import CondaError, client
from build.conda.environment import CondaEnvironment
from build.conda.explicit import ExplicitLock, LockedPackage
from build.conda.standin import package
from build.conda.standin.channel import verify
from build.conda.standin.package import PLACEHOLDER, Metadata

HOOK = "etc/conda/activate.d/base.sh"


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    root = tmp_path / "channel"
    base, tool = tmp_path / "base", tmp_path / "tool"
    (base / HOOK).parent.mkdir(parents=True)
    (base / HOOK).write_text("export BASE_IS_ACTIVE=yes\n")
    package.write(base, Metadata("base", "1.0", "test_0", "MIT", ("__glibc >=2.30",)), root)
    (tool / "share").mkdir(parents=True)
    (tool / "share/prefix").write_text(PLACEHOLDER)
    package.write(tool, Metadata("tool", "2.0", "test_0", "MIT", ("base",), noarch="generic"), root)
    asyncio.run(index_fs(root, write_zst=False, write_shards=False))
    return root


def environment_of(channel: Path, *specs: str) -> CondaEnvironment:
    return CondaEnvironment("test", (channel.as_uri(),), specs, ())


def solved(channel: Path, *specs: str) -> ExplicitLock:
    return asyncio.run(client.solve(environment_of(channel, *specs)))


def test_a_solve_lists_dependencies_first_with_their_hashes(channel: Path) -> None:
    lock = solved(channel, "tool=2.*")
    assert [locked.file_name for locked in lock.packages] == ["base-1.0-test_0.conda", "tool-2.0-test_0.conda"]
    assert lock.channels == (channel.as_uri(),)
    assert "__glibc=2.35=0" in lock.virtual_packages


def test_an_unsolvable_spec_is_named(channel: Path) -> None:
    with pytest.raises(CondaError, match=r"cannot be solved.*tool") as refused:
        solved(channel, "tool=3.*")
    assert "environment.yml" in refused.value.remedy


def test_a_package_for_a_newer_glibc_is_refused(channel: Path) -> None:
    with pytest.raises(CondaError, match="__glibc"):
        asyncio.run(client.solve(environment_of(channel, "tool"), glibc="2.28"))


def test_an_unreachable_channel_is_named(tmp_path: Path) -> None:
    missing = (tmp_path / "nowhere").as_uri()
    with pytest.raises(CondaError) as refused:
        asyncio.run(client.solve(CondaEnvironment("test", (missing,), ("tool",), ())))
    assert missing in refused.value.message
    assert "--channel" in refused.value.remedy


def test_an_install_creates_a_complete_environment(channel: Path, tmp_path: Path) -> None:
    lock, prefix = solved(channel, "tool"), tmp_path / "env"
    asyncio.run(client.install(lock, prefix))
    assert (prefix / "share/prefix").read_text() == str(prefix)
    record = json.loads((prefix / "conda-meta/tool-2.0-test_0.json").read_text())
    assert record["depends"] == ["base"]
    assert record["url"] == lock.packages[1].url
    assert record["channel"] == channel.as_uri()


def test_two_installs_are_identical(channel: Path, tmp_path: Path) -> None:
    lock, prefix = solved(channel, "tool"), tmp_path / "env"
    asyncio.run(client.install(lock, prefix))
    first = snapshot(prefix)
    prefix.rename(tmp_path / "first")
    asyncio.run(client.install(lock, prefix))
    assert snapshot(prefix) == first


def snapshot(prefix: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in prefix.rglob("*") if path.is_file()]
    return {str(path.relative_to(prefix)): (path.stat().st_mode, path.read_bytes()) for path in files}


def test_activation_runs_the_packages_hooks_and_does_not_set_path(channel: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    asyncio.run(client.install(solved(channel, "tool"), prefix))
    script = client.activation_script(prefix)
    assert f"{prefix}/{HOOK}" in script
    assert f"CONDA_PREFIX={prefix}" in script
    assert "PATH=" not in script.replace("CONDA_PREFIX=", "")


def test_a_package_with_another_hash_is_refused_and_nothing_is_installed(channel: Path, tmp_path: Path) -> None:
    lock, prefix = solved(channel, "tool"), tmp_path / "env"
    with (channel / "noarch/tool-2.0-test_0.conda").open("ab") as tampered:
        tampered.write(b"!")
    with pytest.raises(CondaError, match=r"tool-2\.0-test_0\.conda has sha256 .*, the lock says"):
        asyncio.run(client.install(lock, prefix))
    assert not prefix.exists()


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    gone = LockedPackage((tmp_path / "linux-64/gone-1-0.conda").as_uri(), "0" * 64)
    with pytest.raises(CondaError, match=r"gone-1-0\.conda cannot be fetched"):
        client.fetch(gone, tmp_path)


def test_every_package_of_a_channel_on_disk_is_checked(channel: Path) -> None:
    verify(channel)
    tampered = channel / "linux-64/base-1.0-test_0.conda"
    tampered.write_bytes(tampered.read_bytes() + b"!")
    with pytest.raises(CondaError, match=r"base-1\.0-test_0\.conda has sha256 [0-9a-f]+, the channel's index says"):
        verify(channel)
    tampered.unlink()
    with pytest.raises(CondaError, match="no file"):
        verify(channel)


def test_a_folder_without_an_index_is_not_a_channel(tmp_path: Path) -> None:
    with pytest.raises(CondaError, match="no index"):
        verify(tmp_path)
