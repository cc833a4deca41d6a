"""Fixtures of the unit tests, for those that take too long to be among them."""

from tests.unit.conftest import piper
from tests.unit.service.conftest import engine, settings

__all__ = ("engine", "piper", "settings")
