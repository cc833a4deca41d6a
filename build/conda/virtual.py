"""The virtual packages that a solve may count on, given by hand: what solves need not resemble what runs."""

from __future__ import annotations

# The older C library of the two bases (Ubuntu 22.04), as a real channel's packages must accept it.
GLIBC = "2.35"

_ALL = ("__unix=0=0", "__linux=5.10=0", "__archspec=1=x86_64")

# The oldest driver's that torch's CUDA 12 wheels accept (525). By hand: there is no GPU in a build.
_CUDA = "__cuda=12.0=0"


def packages(flavour: str, glibc: str = GLIBC) -> tuple[str, ...]:
    """Name=version=build of each; `__cuda` is there for the cuda flavour alone."""
    return (*_ALL, *((_CUDA,) if flavour == "cuda" else ()), f"__glibc={glibc}=0")


def glibc_of(virtual_packages: tuple[str, ...]) -> str:
    """The C library's version among virtual packages; GLIBC where they name none."""
    return next((text.split("=")[1] for text in virtual_packages if text.startswith("__glibc=")), GLIBC)
