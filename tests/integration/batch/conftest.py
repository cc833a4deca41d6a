"""Fixtures of the unit tests, for tests that take longer."""

from tests.unit.batch.conftest import no_process_survives, service

__all__ = ("no_process_survives", "service")
