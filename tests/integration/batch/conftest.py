"""Fixtures of the unit tests, for those that take too long to be among them."""

from tests.unit.batch.conftest import mouth, none_left

__all__ = ("mouth", "none_left")
