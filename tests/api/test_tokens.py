"""Tokens by REST: made, listed without their secret, limited, revoked."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from promptops.accounts import services as accounts
from promptops.accounts.actors import SYSTEM
from promptops.accounts.models import ApiToken, IdempotencyKey
from promptops.audit.models import AuditEvent
from tests.api.client import Caller, chat, make_caller, make_project, make_user, problem

pytestmark = pytest.mark.django_db


def caller_of(admin: Caller, made: dict[str, Any]) -> Caller:
    return Caller(admin.project, ApiToken.objects.get(pk=made["id"]), made["secret"])


def test_a_token_shows_its_secret_once_and_works(admin: Caller) -> None:
    answer = admin.post("/tokens", {"name": "checkout", "role": "editor"})
    made = answer.json()
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    assert made["secret"].startswith(made["prefix"])
    assert made["scopes"] == ["read", "run", "write"]

    me = caller_of(admin, made).ok("GET", "/me")
    assert (me["project"]["slug"], me["token"]["name"], me["role"]) == ("shop", "checkout", "editor")
    listed = admin.ok("GET", "/tokens")
    assert [one["name"] for one in listed["items"]] == ["checkout", "admin token"]
    assert made["secret"] not in str(listed)
    assert not ApiToken.objects.filter(digest=made["secret"]).exists()


def test_the_secret_is_stored_nowhere_not_even_for_a_repeat(admin: Caller) -> None:
    first = admin.post("/tokens", {"name": "checkout", "role": "viewer"}, key="token-1")
    again = admin.post("/tokens", {"name": "checkout", "role": "viewer"}, key="token-1")
    secret = first.json()["secret"]
    assert again.json() == {**first.json(), "secret": None}
    assert ApiToken.objects.filter(name="checkout").count() == 1
    assert secret not in str(list(IdempotencyKey.objects.values()))
    assert secret not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "  "}, "name"),
        ({"role": "owner"}, "role"),
        ({"role": "king"}, "role"),
        ({"role": "viewer", "scopes": ["write"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["fly"]}, "scopes.0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
    ],
)
def test_a_token_that_cannot_be_is_refused_by_field(admin: Caller, changes: dict[str, Any], field: str) -> None:
    errors = problem(admin.post("/tokens", {"name": "x", "role": "admin", **changes}), 422)["errors"]
    assert field in errors
    assert ApiToken.objects.count() == 1


def test_a_token_does_what_its_scopes_allow(admin: Caller) -> None:
    admin.make_prompt()
    reading = caller_of(admin, admin.post("/tokens", {"name": "r", "role": "admin", "scopes": ["read"]}).json())
    assert reading.get("/prompts").status_code == 200
    refused = problem(reading.post("/prompts", {"slug": "x", **chat()}), 403)
    assert refused["needed_scope"] == "write"
    assert problem(reading.get("/tokens"), 403)["needed_scope"] == "admin"
    writing = caller_of(admin, admin.post("/tokens", {"name": "w", "role": "editor", "scopes": ["write"]}).json())
    problem(writing.get("/prompts"), 403)
    assert writing.post("/prompts", {"slug": "x", **chat()}).status_code == 201
    assert writing.ok("GET", "/me")["scopes"] == ["write"]


def test_an_expired_token_opens_nothing(admin: Caller) -> None:
    soon = (timezone.now() + dt.timedelta(hours=1)).isoformat()
    made = caller_of(admin, admin.ok("POST", "/tokens", {"name": "x", "expires_at": soon}, status=201))
    assert made.get("/me").status_code == 200
    ApiToken.objects.filter(pk=made.token.pk).update(expires_at=timezone.now())
    problem(made.get("/me"), 401, "token_expired")
    # Without a zone it is UTC.
    naive = admin.ok("POST", "/tokens", {"name": "y", "expires_at": "2999-01-01T00:00:00"}, status=201)
    assert naive["expires_at"] == "2999-01-01T00:00:00Z"


def test_a_revoked_token_opens_nothing_and_stays_on_record(admin: Caller) -> None:
    made = admin.ok("POST", "/tokens", {"name": "lost"}, status=201)
    lost = caller_of(admin, made)
    for _twice in range(2):
        assert admin.delete(f"/tokens/{made['id']}").status_code == 204
    answer = lost.get("/me")
    problem(answer, 401, "token_revoked")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert admin.ok("GET", f"/tokens/{made['id']}")["revoked_at"]
    assert AuditEvent.objects.filter(action="token.revoked").count() == 1


def test_a_token_follows_the_person_who_made_it(admin: Caller) -> None:
    person = make_user("person@shop.test")
    membership = accounts.add_member(SYSTEM, admin.project, person, role="admin")
    theirs = make_caller(admin.project, "admin", person=person)
    theirs.ok("POST", "/prompts", {"slug": "mine", **chat()}, status=201)
    accounts.change_role(SYSTEM, membership, role="viewer")
    assert theirs.ok("GET", "/me")["role"] == "viewer"
    problem(theirs.post("/prompts/mine/versions", chat(text="two")), 403)
    accounts.remove_member(SYSTEM, membership)
    problem(theirs.get("/me"), 401, "token_orphaned")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer po_nonsense", "Bearer nonsense", "Basic abc", "Bearer po_\x00"]
)
def test_without_a_live_token_nothing_opens(admin: Caller, header: str) -> None:
    answer: Any = admin.client.get("/api/v1/prompts", headers={"Authorization": header} if header else {})
    problem(answer, 401)


def test_the_tokens_of_another_project_are_not_there(admin: Caller) -> None:
    elsewhere = make_caller(make_project("elsewhere"))
    problem(elsewhere.get(f"/tokens/{admin.token.pk}"), 404)
    problem(elsewhere.delete(f"/tokens/{admin.token.pk}"), 404)
    assert admin.get("/me").status_code == 200
    assert [one["id"] for one in elsewhere.ok("GET", "/tokens")["items"]] == [elsewhere.token.pk]


def test_only_admins_see_or_make_tokens(admin: Caller) -> None:
    for role in ("viewer", "editor", "reviewer"):
        caller = make_caller(admin.project, role)
        problem(caller.get("/tokens"), 403)
        problem(caller.post("/tokens", {"name": "mine"}), 403)
        problem(caller.delete(f"/tokens/{admin.token.pk}"), 403)


def test_a_token_hands_out_no_scope_that_it_lacks(admin: Caller) -> None:
    made = admin.post("/tokens", {"name": "a", "role": "admin", "scopes": ["admin"]}).json()
    narrow = caller_of(admin, made)
    assert narrow.ok("POST", "/tokens", {"name": "b", "role": "admin"}, status=201)["scopes"] == ["admin"]
    problem(narrow.post("/tokens", {"name": "c", "role": "admin", "scopes": ["write"]}), 422)


def test_a_token_invites_nobody_to_what_it_may_not(admin: Caller) -> None:
    narrow = caller_of(admin, admin.post("/tokens", {"name": "a", "role": "admin", "scopes": ["admin"]}).json())
    problem(narrow.post("/invitations", {"role": "admin"}), 422)
    assert admin.post("/invitations", {"role": "admin"}).status_code == 201
