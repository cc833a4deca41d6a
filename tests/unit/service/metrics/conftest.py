"""A client of the service over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from service.app import Service
from tests.unit.service.serving import served


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with served(service) as client:
        yield client
