"""Fixtures of the unit tests, for tests of the service that are too slow for them."""

from tests.unit.conftest import piper
from tests.unit.service.conftest import engine, settings

__all__ = ("engine", "piper", "settings")
