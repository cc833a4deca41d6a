"""Relocatable copy of Debian's CPython 3.11.

Three things tie Debian's build to /usr, and this module removes each of them:

- the libraries it links: they are bundled and found by RUNPATH;
- the paths recorded in sysconfig: a placeholder replaces them, which the installer fills in;
- Debian's patches that install packages into dist-packages: they are reverted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from build.conda import CondaError
from build.conda.standin.package import PLACEHOLDER

VERSION = "3.11"
_LIB = f"lib/python{VERSION}"

# Debian's own hooks, modules that need X11, modules of little use in an image, and the tests.
_UNWANTED = (
    "__pycache__", "test", "tests", "site-packages", "dist-packages", "config-*", "EXTERNALLY-MANAGED",
    "sitecustomize.py", "_distutils_system_mod.py", "turtle.py", "turtledemo", "tkinter", "idlelib",
    "_test*.so", "_ctypes_test*.so", "_xxtest*.so", "xxlimited*.so",
    "nis.*.so", "_dbm.*.so", "_crypt.*.so", "ossaudiodev.*.so",
)  # fmt: skip

# The C library is not bundled: it must come from the system that runs Python.
_GLIBC = re.compile(r"(libc|libm|libdl|libpthread|librt|libutil|libresolv)\.so\.\d+|ld-linux.*|linux-vdso.*")

# The default scheme of sysconfig: Debian's patch, and upstream's replacement.
_SCHEME = re.compile(
    r"    if sys\.base_prefix != sys\.prefix or hasattr\(.*?prefix_scheme = 'posix_local'\n", re.DOTALL
)
_UPSTREAM_SCHEME = "    prefix_scheme = 'posix_prefix'\n"

# Debian's site module is frozen into the executable and searches dist-packages only. A .pth file there imports the
# module below, which restores upstream's behaviour. sitecustomize is no option: tracing tools replace it.
_HOOK_NAME = "_debian_site_packages"
_HOOK = """\
import os
import site
import sys


def getsitepackages(prefixes=None):
    version = "python%d.%d" % sys.version_info[:2]
    prefixes = filter(None, dict.fromkeys(prefixes or site.PREFIXES))
    return [os.path.join(prefix, "lib", version, "site-packages") for prefix in prefixes]


site.getsitepackages = getsitepackages
for folder in getsitepackages():
    site.addsitedir(folder)
"""

# The sysconfig variables with this Python's own location. TZPATH and the build tools belong to the system and stay.
_OWN_PATHS = re.compile(
    r"^( '(?:BINDIR|BINLIBDEST|DESTLIB|DESTSHARED|INCLUDEDIR|INCLUDEPY|CONFINCLUDEDIR|CONFINCLUDEPY|LIBDEST|LIBDIR"
    r"|LIBPL|MACHDESTLIB|SCRIPTDIR|exec_prefix|prefix)': ')/usr\b",
    re.MULTILINE,
)

# Assertions that the finished tree must pass when it runs under another prefix than Debian's.
_PROOF = f"""
import ctypes, bz2, lzma, readline, site, sqlite3, ssl, sys, sysconfig, uuid, zlib
expected = sys.argv[1] + "/{_LIB}/site-packages"
assert sys.prefix == sys.argv[1], sys.prefix
assert site.getsitepackages() == [expected], site.getsitepackages()
assert expected in sys.path, sys.path
assert sysconfig.get_path("purelib") == expected, sysconfig.get_path("purelib")
"""


def stage(system: Path, root: Path) -> None:
    """Copy python3.11 from the Debian tree `system` into `root`, make it relocatable, and test it there.

    Raises:
        CondaError: the source is not the expected Debian build, or the result does not work.
    """
    shutil.copytree(system / "usr" / _LIB, root / _LIB, symlinks=True, ignore=shutil.ignore_patterns(*_UNWANTED))
    (root / "bin").mkdir()
    shutil.copy2(system / f"usr/bin/python{VERSION}", root / "bin")
    for name in ("python", "python3"):
        (root / "bin" / name).symlink_to(f"python{VERSION}")
    _restore_scheme(root / _LIB)
    _add_site_packages(root / _LIB)
    _bundle_libraries(root)
    _prove(root)


def glibc_needed(root: Path) -> str:
    """The newest glibc version that any binary under `root` requires, such as "2.35"."""
    found = {int(minor) for path in _elf_files(root) for minor in re.findall(rb"GLIBC_2\.(\d+)\0", path.read_bytes())}
    return f"2.{max(found)}"


def _restore_scheme(lib: Path) -> None:
    sysconfig = lib / "sysconfig.py"
    text, count = _SCHEME.subn(_UPSTREAM_SCHEME, sysconfig.read_text())
    if count != 1:
        raise CondaError(
            f"Debian's patch to sysconfig.py is not the expected one ({count} places match)",
            remedy="compare it with upstream's and correct _SCHEME in build/conda/standin/cpython.py",
        )
    sysconfig.write_text(text)
    for data in lib.glob("_sysconfigdata__*.py"):
        if not data.is_symlink():
            data.write_text(_OWN_PATHS.sub(rf"\g<1>{PLACEHOLDER}", data.read_text()))


def _add_site_packages(lib: Path) -> None:
    for name in ("site-packages", "dist-packages"):
        (lib / name).mkdir()
    (lib / "site-packages/README.txt").write_text("Packages installed by pip and conda.\n")
    (lib / f"dist-packages/{_HOOK_NAME}.pth").write_text(f"import {_HOOK_NAME}\n")
    (lib / f"{_HOOK_NAME}.py").write_text(_HOOK)


def _bundle_libraries(root: Path) -> None:
    """Copy every linked library except glibc into the tree, and point each binary at the copies."""
    for binary in _elf_files(root):
        for name, source in _linked(binary).items():
            target = root / "lib" / name
            if not target.exists():
                shutil.copy2(Path(source).resolve(), target)
                target.chmod(0o755)
    for binary in _elf_files(root):
        to_lib = os.path.relpath(root / "lib", binary.parent)
        _run(["patchelf", "--set-rpath", f"$ORIGIN/{to_lib}", str(binary)])


def _elf_files(root: Path) -> list[Path]:
    candidates = [*(root / "bin").iterdir(), *(root / "lib").glob("*.so*"), *(root / _LIB / "lib-dynload").glob("*.so")]
    return sorted(path for path in candidates if not path.is_symlink())


def _linked(binary: Path) -> dict[str, str]:
    # ldd also lists indirect dependencies.
    links = re.findall(r"^\s*(\S+) => (/\S+)", _run(["ldd", str(binary)]), re.MULTILINE)
    return {name: path for name, path in links if not _GLIBC.fullmatch(name)}


def _prove(root: Path) -> None:
    _run([str(root / "bin/python"), "-I", "-B", "-c", _PROOF, str(root)])


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise CondaError(
            f"{argv[0]} failed while Debian's Python was repacked:\n{done.stderr.strip()}",
            remedy="use Debian 12, or correct build/conda/standin/cpython.py",
        )
    return done.stdout
