"""A provider on the loopback address, and leave to call it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.provider import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture
def loopback_allowed(settings: Settings) -> None:
    settings.ALLOWED_PROVIDER_HOSTS = ["127.0.0.1"]
