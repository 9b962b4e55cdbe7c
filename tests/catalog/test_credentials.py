"""Credentials: the key comes in once and is seen nowhere again; who may touch it, and where it may be sent."""

from __future__ import annotations

import io
import logging
import traceback

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from promptops.audit.models import AuditEvent
from promptops.catalog.connections import connection_of
from promptops.catalog.models import Credential
from promptops.catalog.services import (
    archive_credential,
    create_credential,
    create_endpoint,
    test_credential,
    update_credential,
)
from promptops.core.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from tests.people import Team
from tests.provider import Provider
from tests.stored import everything_stored

SENTINEL = "sk-sentinel-Zq81VnWx0PtR"

ask_provider = test_credential
del test_credential  # pytest would take it for a test


def make(team: Team, **changes: str) -> Credential:
    given = {"name": "OpenAI", "provider": "openai", "api_key": SENTINEL, **changes}
    return create_credential(team.actor("admin"), team.project, **given)


def test_a_key_is_known_by_its_last_four_characters(team: Team) -> None:
    credential = make(team)
    assert credential.last_four == "0PtR"
    assert connection_of(credential).api_key == SENTINEL


def test_a_short_key_shows_nothing_of_itself(team: Team) -> None:
    assert make(team, api_key="secret7").last_four == ""


def test_the_key_is_nowhere_but_in_the_connection(team: Team, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    credential = make(team, base_url="https://models.example.com/v1")
    create_endpoint(
        team.actor("admin"),
        team.project,
        slug="mini",
        name="Mini",
        provider="openai",
        model_name="mini",
        credential=credential,
    )
    update_credential(team.actor("admin"), credential, name="Renamed")
    found = repr(credential) + str(credential) + repr(connection_of(credential)) + repr(vars(credential)) + caplog.text
    found += "".join(AuditEvent.objects.values_list("payload", flat=True))
    found += everything_stored()
    assert SENTINEL not in found
    assert "0PtR" in found


@pytest.mark.parametrize("role", ["viewer", "editor", "reviewer"])
def test_only_admins_touch_credentials(team: Team, role: str) -> None:
    credential = make(team)
    actor = team.actor(role)
    with pytest.raises(Forbidden):
        create_credential(actor, team.project, name="x", provider="openai", api_key="k")
    with pytest.raises(Forbidden):
        update_credential(actor, credential, api_key="other-key-1234")
    with pytest.raises(Forbidden):
        archive_credential(actor, credential)
    with pytest.raises(Forbidden):
        ask_provider(actor, credential)


def test_an_outsider_finds_no_credential(team: Team) -> None:
    with pytest.raises(NotFound):
        update_credential(team.actor("outsider"), make(team), name="mine")


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:8080/v1",
        "http://10.0.0.5/v1",
        "http://[::1]/v1",
        "http://[::ffff:169.254.169.254]/v1",
        "http://[64:ff9b::a9fe:a9fe]/v1",
        "http://[2002:a9fe:a9fe::1]/v1",
        "http://[::127.0.0.1]/v1",
        "http://[fec0::1]/v1",
        "http://0.0.0.0/v1",
        "ftp://models.example.com",
        "https://user:pass@models.example.com/v1",
        "https://models.example.com/v1?x=1",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_no_provider_has_is_refused(team: Team, url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make(team, base_url=url)
    assert "base_url" in refusal.value.errors


def test_a_name_that_resolves_to_this_machine_is_refused_when_it_is_called(team: Team) -> None:
    credential = make(team, base_url="http://localhost:9/v1")
    found = ask_provider(team.actor("admin"), credential)
    assert not found.works
    assert found.kind == "refused_address"
    assert "ALLOWED_PROVIDER_HOSTS" in found.detail


def test_a_key_is_not_sent_to_another_address_unless_it_is_entered_again(team: Team) -> None:
    credential = make(team)
    with pytest.raises(Invalid) as refusal:
        update_credential(team.actor("admin"), credential, base_url="https://collector.example.com/v1")
    assert "api_key" in refusal.value.errors
    credential.refresh_from_db()
    assert credential.base_url == ""

    changed = update_credential(
        team.actor("admin"), credential, base_url="https://proxy.example.com/v1/", api_key="sk-another-key-9876"
    )
    assert (changed.base_url, changed.last_four) == ("https://proxy.example.com/v1", "9876")
    actions = AuditEvent.objects.filter(target_kind="credential").order_by("id").values_list("action", flat=True)
    assert list(actions) == ["credential.created", "credential.key_replaced"]


@pytest.mark.parametrize("key", ["", "  ", "two words", "schlüssel-mit-umlaut", "a" * 501, "line\nbreak-in-it"])
def test_a_key_that_no_header_can_carry_is_refused(team: Team, key: str) -> None:
    with pytest.raises(Invalid) as refusal:
        make(team, api_key=key)
    assert "api_key" in refusal.value.errors


def test_a_server_of_ones_own_needs_no_key(team: Team) -> None:
    assert make(team, api_key="", base_url="https://models.example.com/v1").last_four == ""


def test_a_name_is_used_once_at_a_time(team: Team) -> None:
    first = make(team)
    with pytest.raises(Invalid) as refusal:
        make(team)
    assert "name" in refusal.value.errors
    archive_credential(team.actor("admin"), first)
    assert make(team).name == "OpenAI"


def test_archiving_destroys_the_key(team: Team) -> None:
    credential = archive_credential(team.actor("admin"), make(team))
    assert bytes(credential.encrypted_key) == b""
    with pytest.raises(Unavailable):
        connection_of(credential)


def test_a_credential_in_use_stays(team: Team) -> None:
    credential = make(team)
    create_endpoint(
        team.actor("admin"),
        team.project,
        slug="mini",
        name="Mini",
        provider="openai",
        model_name="gpt-4o-mini",
        credential=credential,
    )
    with pytest.raises(Conflict) as refusal:
        archive_credential(team.actor("admin"), credential)
    assert refusal.value.extra["endpoints"] == ["mini"]


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_testing_asks_the_provider(team: Team, provider: Provider, loopback_allowed: None, protocol: str) -> None:
    credential = make(team, provider=protocol, base_url=provider.openai_url)
    found = ask_provider(team.actor("admin"), credential)
    assert found.works, found.detail
    assert found.models == ["test-model", "test-model-large"]
    credential.refresh_from_db()
    assert credential.tested_at is not None
    assert credential.test_error == ""


def test_a_refused_key_is_said_without_the_key(team: Team, provider: Provider, loopback_allowed: None) -> None:
    credential = make(team, api_key="wrong-key-123456789", base_url=provider.openai_url)
    found = ask_provider(team.actor("admin"), credential)
    assert (found.works, found.kind) == (False, "authentication")
    assert "wrong-key-123456789" not in found.detail
    credential.refresh_from_db()
    assert "wrong-key" not in credential.test_error
    assert "401" in credential.test_error


def test_a_server_that_is_no_api_is_said(team: Team, provider: Provider, loopback_allowed: None) -> None:
    credential = make(team, base_url=f"{provider.url}/elsewhere")
    found = ask_provider(team.actor("admin"), credential)
    assert not found.works
    assert "/v1" in found.detail


def test_a_dead_server_is_said(team: Team, loopback_allowed: None) -> None:
    found = ask_provider(team.actor("admin"), make(team, base_url="http://127.0.0.1:1/v1"))
    assert (found.works, found.kind) == (False, "connection")


def test_keys_rotate(team: Team, settings: Settings) -> None:
    credential = make(team)
    old, new = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    call_command("rotate_keys", stdout=(output := io.StringIO()))
    assert output.getvalue().startswith("1 ")
    settings.ENCRYPTION_KEYS = [new]
    credential.refresh_from_db()
    assert connection_of(credential).api_key == SENTINEL


def test_rotation_names_what_it_cannot_read(team: Team, settings: Settings) -> None:
    credential = make(team)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(CommandError, match="OpenAI"):
        call_command("rotate_keys", stdout=io.StringIO())
    with pytest.raises(Unavailable) as failure:
        connection_of(credential)
    assert SENTINEL not in "".join(traceback.format_exception(failure.value))
