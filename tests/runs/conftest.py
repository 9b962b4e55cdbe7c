"""A real provider on loopback, endpoints of the team that speak with it, and people who look at runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from pytest_django import Settings

from tests.people import Team
from tests.provider import Provider

if TYPE_CHECKING:
    from django.test import Client

    from promptops.accounts.models import User
    from promptops.catalog.models import Endpoint
    from promptops.runs.models import Run

KEY = "sk-loopback-0001"


class MakeEndpoint(Protocol):
    """The fixture `make_endpoint`."""

    def __call__(
        self, team: Team, model_name: str = ..., *, kind: str = ..., key: str = ..., slug: str = ..., **more: Any
    ) -> Endpoint: ...


class Begin(Protocol):
    """The fixture `begin`."""

    def __call__(self, endpoint: Endpoint, count: int = ..., **options: Any) -> list[Run]: ...


@pytest.fixture(scope="session")
def provider_server() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def provider(provider_server: Provider, settings: Settings) -> Provider:
    settings.ALLOWED_PROVIDER_HOSTS = ["127.0.0.1"]
    provider_server.reset()
    return provider_server


@pytest.fixture
def make_endpoint(provider: Provider) -> MakeEndpoint:
    """Make an endpoint on the loopback provider; what its calls do is said by the model's name (`tests.provider`)."""
    from promptops.catalog.services import create_credential, create_endpoint

    def make(
        team: Team, model_name: str = "test-model", *, kind: str = "openai", key: str = KEY, slug: str = "", **more: Any
    ) -> Endpoint:
        url = provider.openai_url if kind == "openai" else provider.anthropic_url
        number = team.project.endpoints.count()
        credential = create_credential(
            team.actor("admin"), team.project, name=f"Key {number}", provider=kind, api_key=key, base_url=url
        )
        return create_endpoint(
            team.actor("admin"),
            team.project,
            slug=slug or f"loopback-{number}",
            name=f"Loopback {number}",
            provider=kind,
            model_name=model_name,
            credential=credential,
            **more,
        )

    return make


@pytest.fixture
def begin(team: Team) -> Begin:
    """Queue runs of the team's greeting on an endpoint, in one transaction."""
    from promptops.runs.services import RunRequest, start_runs, version_target

    team.prompt()

    def start(endpoint: Endpoint, count: int = 1, **options: Any) -> list[Run]:
        target = version_target(endpoint.project, "greeting", version=1)
        requests = [RunRequest({"name": "Ada"}) for _ in range(count)]
        return start_runs(team.actor("editor"), target, endpoint, requests, **options)

    return start


def _with_a_prompt(client: Client, team: Team, person: User) -> Client:
    from tests.runs.pages import scripted_endpoint

    scripted_endpoint(team)
    team.prompt()
    client.force_login(person)
    return client


@pytest.fixture
def editor(client: Client, team: Team) -> Client:
    """The editor's browser; the team has a prompt and the scripted endpoint."""
    return _with_a_prompt(client, team, team.editor)


@pytest.fixture
def viewer(client: Client, team: Team) -> Client:
    """The viewer's browser; the team has a prompt and the scripted endpoint."""
    return _with_a_prompt(client, team, team.viewer)
