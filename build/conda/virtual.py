"""Fixed virtual packages for a solve, because the machine that solves may differ from the machine that runs."""

from __future__ import annotations

# The older glibc of the two bases (Ubuntu 22.04); packages of a real channel must accept it.
GLIBC = "2.35"

_ALL = ("__unix=0=0", "__linux=5.10=0", "__archspec=1=x86_64")

# The CUDA version of the oldest driver (525) that torch's CUDA 12 wheels accept. A build has no GPU to detect it.
_CUDA = "__cuda=12.0=0"


def packages(flavour: str, glibc: str = GLIBC) -> tuple[str, ...]:
    """Virtual packages as name=version=build; only the cuda flavour has `__cuda`."""
    return (*_ALL, *((_CUDA,) if flavour == "cuda" else ()), f"__glibc={glibc}=0")


def glibc_of(virtual_packages: tuple[str, ...]) -> str:
    """The glibc version among virtual packages; GLIBC if they name none."""
    return next((text.split("=")[1] for text in virtual_packages if text.startswith("__glibc=")), GLIBC)
