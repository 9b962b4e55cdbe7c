"""One real provider server for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.provider import Provider


@pytest.fixture(scope="session")
def provider_server() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(provider_server: Provider) -> Provider:
    provider_server.reset()
    return provider_server
