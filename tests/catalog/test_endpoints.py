"""Endpoints and what they cost: listed, entered, unknown; the default; the embedded model of every project."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from promptops.audit.models import AuditEvent
from promptops.catalog import prices
from promptops.catalog.connections import connection_for
from promptops.catalog.models import Credential, Endpoint
from promptops.catalog.querysets import endpoints_of
from promptops.catalog.selectors import default_endpoint, get_endpoint
from promptops.catalog.services import (
    archive_credential,
    archive_endpoint,
    create_credential,
    create_endpoint,
    ensure_local_endpoint,
    refresh_price,
    restore_endpoint,
    set_default,
    update_endpoint,
)
from promptops.core.errors import Conflict, Forbidden, Invalid, NotFound
from tests.people import Team


@pytest.fixture
def credential(team: Team) -> Credential:
    return create_credential(
        team.actor("admin"), team.project, name="OpenAI", provider="openai", api_key="sk-some-key-1234"
    )


def make(team: Team, credential: Credential | None, **changes: Any) -> Endpoint:
    given = {"slug": "mini", "name": "Mini", "provider": "openai", "model_name": "gpt-4o-mini", **changes}
    return create_endpoint(team.actor("admin"), team.project, credential=credential, **given)


def test_every_project_begins_with_the_embedded_model(team: Team) -> None:
    endpoint = default_endpoint(team.project)
    assert endpoint is not None
    assert (endpoint.provider, endpoint.queue, endpoint.context_window) == ("local", "local", 8192)
    assert (endpoint.input_price, endpoint.price_source) == (Decimal(0), "local")
    assert "Apache-2.0" in endpoint.description
    assert ensure_local_endpoint(team.project) == endpoint
    folder = connection_for(endpoint).model_dir
    assert folder is not None
    assert folder.name == "smollm2-135m-instruct"


def test_an_archived_embedded_endpoint_does_not_come_back(team: Team) -> None:
    endpoint = archive_endpoint(team.actor("admin"), ensure_local_endpoint(team.project))
    assert ensure_local_endpoint(team.project).archived_at == endpoint.archived_at
    assert not endpoints_of(team.project).exists()


def test_a_listed_price_is_copied_with_its_source(team: Team, credential: Credential) -> None:
    endpoint = make(team, credential)
    assert (endpoint.input_price, endpoint.output_price) == (Decimal("0.15"), Decimal("0.6"))
    assert endpoint.cached_input_price == Decimal("0.075")
    assert endpoint.context_window == 128_000
    assert endpoint.price_source.startswith("genai-prices ")
    assert endpoint.priced_at is not None


def test_an_unknown_price_stays_unknown(team: Team, credential: Credential) -> None:
    endpoint = make(team, credential, model_name="house-model-7b")
    assert (endpoint.input_price, endpoint.price_source, endpoint.priced_at) == (None, "", None)
    assert prices.estimate_cost(endpoint, 1000, 1000) is None
    with pytest.raises(Conflict):
        refresh_price(team.actor("admin"), endpoint)


def test_the_price_of_openai_is_not_the_price_of_a_compatible_server(team: Team) -> None:
    own = create_credential(
        team.actor("admin"),
        team.project,
        name="Own server",
        provider="openai",
        api_key="",
        base_url="https://models.example.com/v1",
    )
    assert make(team, own).input_price is None


def test_a_price_that_rises_with_the_prompt_holds_up_to_its_limit(team: Team) -> None:
    listed = prices.look_up("anthropic", "claude-sonnet-4-5")
    assert listed.price_limit == 200_000
    assert prices.estimate_cost(listed, 200_000, 0) == Decimal("0.6")
    assert prices.estimate_cost(listed, 200_001, 0) is None


def test_a_price_entered_by_hand(team: Team, credential: Credential) -> None:
    endpoint = make(team, credential, price={"input_price": "1.5", "output_price": 2})
    assert (endpoint.input_price, endpoint.output_price, endpoint.price_source) == (
        Decimal("1.5"),
        Decimal(2),
        "manual",
    )
    assert prices.estimate_cost(endpoint, 2_000, 500) == Decimal("0.004")

    listed = refresh_price(team.actor("admin"), endpoint)
    assert listed.input_price == Decimal("0.15")


def test_saving_a_form_unchanged_keeps_the_source_of_the_price(team: Team, credential: Credential) -> None:
    endpoint = make(team, credential)
    shown = {name: str(getattr(endpoint, name) or "") for name in prices.FIELDS}
    saved = update_endpoint(team.actor("admin"), endpoint, name="Renamed", price=shown)
    assert (saved.name, saved.price_source) == ("Renamed", endpoint.price_source)


@pytest.mark.parametrize(
    ("price", "field"),
    [
        ({"input_price": "-1", "output_price": "1"}, "input_price"),
        ({"input_price": "NaN", "output_price": "1"}, "input_price"),
        ({"input_price": "cheap", "output_price": "1"}, "input_price"),
        ({"input_price": "1"}, "output_price"),
        ({"output_price": "1e30", "input_price": "1"}, "output_price"),
    ],
)
def test_a_wrong_price_is_refused(team: Team, credential: Credential, price: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make(team, credential, price=price)
    assert list(refusal.value.errors) == [field]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "Not A Slug"}, "slug"),
        ({"slug": "new"}, "slug"),
        ({"name": " "}, "name"),
        ({"model_name": ""}, "model_name"),
        ({"provider": "teleprinter"}, "provider"),
        ({"parameters": {"temperature": 9}}, "parameters.temperature"),
        ({"parameters": {"warmth": 1}}, "parameters.warmth"),
        ({"parameters": {"max_tokens": True}}, "parameters.max_tokens"),
        ({"context_window": 0}, "context_window"),
    ],
)
def test_a_wrong_field_is_named(team: Team, credential: Credential, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make(team, credential, **changes)
    assert field in refusal.value.errors


@pytest.mark.parametrize("name", ["../../etc", "a/b/c", "..", "/etc/passwd", ".hidden"])
def test_a_local_model_cannot_leave_its_folder(team: Team, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make(team, None, provider="local", model_name=name)
    assert "model_name" in refusal.value.errors


def test_the_credential_must_fit(team: Team, credential: Credential) -> None:
    foreign = create_credential(
        team.actor("outsider"), team.elsewhere, name="Theirs", provider="openai", api_key="sk-their-key-1234"
    )
    for wrong in (None, foreign):
        with pytest.raises(Invalid) as refusal:
            make(team, wrong)
        assert "credential" in refusal.value.errors
    with pytest.raises(Invalid):
        make(team, credential, provider="anthropic", model_name="claude-sonnet-4-5")


def test_there_is_one_default(team: Team, credential: Credential) -> None:
    local = ensure_local_endpoint(team.project)
    mini = make(team, credential)
    assert not mini.is_default
    set_default(team.actor("admin"), mini)
    local.refresh_from_db()
    assert not local.is_default
    assert default_endpoint(team.project) == mini

    large = make(team, credential, slug="large", model_name="gpt-4o", is_default=True)
    assert default_endpoint(team.project) == large


def test_archiving_can_be_undone(team: Team, credential: Credential) -> None:
    endpoint = archive_endpoint(team.actor("admin"), make(team, credential))
    with pytest.raises(Conflict):
        set_default(team.actor("admin"), endpoint)
    assert restore_endpoint(team.actor("admin"), endpoint).archived_at is None

    archive_endpoint(team.actor("admin"), endpoint)
    archive_credential(team.actor("admin"), credential)
    with pytest.raises(Conflict):
        restore_endpoint(team.actor("admin"), endpoint)


@pytest.mark.parametrize("role", ["viewer", "editor", "reviewer"])
def test_only_admins_change_endpoints(team: Team, role: str) -> None:
    endpoint = ensure_local_endpoint(team.project)
    actor = team.actor(role)
    for act in (archive_endpoint, restore_endpoint, set_default, refresh_price, update_endpoint):
        with pytest.raises(Forbidden):
            act(actor, endpoint)
        with pytest.raises(NotFound):
            act(team.actor("outsider"), endpoint)


def test_endpoints_are_found_in_their_own_project_only(team: Team, credential: Credential) -> None:
    make(team, credential)
    assert get_endpoint(team.project, "mini").name == "Mini"
    with pytest.raises(NotFound):
        get_endpoint(team.elsewhere, "mini")


def test_changes_are_audited(team: Team, credential: Credential) -> None:
    endpoint = make(team, credential)
    update_endpoint(team.actor("admin"), endpoint, description="Cheap and quick.")
    events = AuditEvent.objects.filter(target_kind="endpoint", target_id=str(endpoint.pk)).order_by("id")
    assert [event.action for event in events] == ["endpoint.created", "endpoint.updated"]
    assert all(event.user_id == team.admin.pk for event in events)
