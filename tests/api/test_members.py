"""Members and invitations by REST."""

from __future__ import annotations

from typing import Any

import pytest

from promptops.accounts import services as accounts
from promptops.accounts.actors import SYSTEM
from promptops.accounts.models import IdempotencyKey, Invitation, Membership
from promptops.audit.models import AuditEvent
from tests.api.client import Caller, make_caller, make_project, make_user, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def colleague(admin: Caller) -> Membership:
    return accounts.add_member(SYSTEM, admin.project, make_user("colleague@shop.test"), role="editor")


def test_it_lists_the_people_with_their_roles(admin: Caller, colleague: Membership) -> None:
    people = admin.ok("GET", "/members")["items"]
    assert [(one["email"], one["role"]) for one in people] == [
        ("owner@shop.test", "owner"),
        ("colleague@shop.test", "editor"),
    ]
    page = admin.ok("GET", "/members?limit=1")
    rest = admin.ok("GET", f"/members?limit=1&cursor={page['next']}")
    assert [one["id"] for one in page["items"] + rest["items"]] == [one["id"] for one in people]
    assert make_caller(admin.project, "viewer").ok("GET", "/members")["items"] == people


def test_an_admin_changes_a_role(admin: Caller, colleague: Membership) -> None:
    assert admin.ok("PATCH", f"/members/{colleague.pk}", {"role": "reviewer"})["role"] == "reviewer"
    colleague.refresh_from_db()
    assert colleague.role == "reviewer"
    event = AuditEvent.objects.filter(action__startswith="member.").latest("id")
    assert "colleague" not in event.payload


@pytest.mark.parametrize("role", ["owner", "king", "", None])
def test_a_role_that_nobody_can_be_given_is_refused(admin: Caller, colleague: Membership, role: Any) -> None:
    problem(admin.patch(f"/members/{colleague.pk}", {"role": role}), 422)
    colleague.refresh_from_db()
    assert colleague.role == "editor"


def test_the_owner_stays_the_owner(admin: Caller) -> None:
    owner = admin.project.memberships.get(role="owner")
    assert admin.patch(f"/members/{owner.pk}", {"role": "viewer"}).status_code in (403, 409, 422)
    assert admin.delete(f"/members/{owner.pk}").status_code in (403, 409, 422)
    owner.refresh_from_db()
    assert owner.role == "owner"


def test_a_removed_member_is_gone_with_all_tokens(admin: Caller, colleague: Membership) -> None:
    accounts.change_role(SYSTEM, colleague, role="admin")
    theirs = make_caller(admin.project, "editor", person=colleague.user)
    assert theirs.get("/prompts").status_code == 200
    assert admin.delete(f"/members/{colleague.pk}").status_code == 204
    problem(theirs.get("/prompts"), 401, "token_orphaned")
    problem(admin.delete(f"/members/{colleague.pk}"), 404)


def test_somebody_is_invited_by_a_link_that_is_shown_once(admin: Caller) -> None:
    made = admin.ok("POST", "/invitations", {"role": "editor", "note": "For Ada"}, status=201)
    assert "/invitations/" in made["url"]
    listed = admin.ok("GET", "/invitations")["items"]
    assert [(one["id"], one["role"], one["note"]) for one in listed] == [(made["id"], "editor", "For Ada")]
    assert "url" not in listed[0]
    secret = made["url"].rstrip("/").rsplit("/", 1)[1]
    assert not Invitation.objects.filter(digest=secret).exists()

    assert admin.delete(f"/invitations/{made['id']}").status_code == 204
    assert admin.ok("GET", "/invitations")["items"] == []
    problem(admin.delete(f"/invitations/{made['id']}"), 404)


def test_a_repeated_invitation_is_one_and_its_link_is_stored_nowhere(admin: Caller) -> None:
    first, again = (admin.post("/invitations", {"role": "viewer"}, key="invite-1").json() for _twice in range(2))
    assert again == {**first, "url": None}
    assert Invitation.objects.count() == 1
    assert first["url"].rstrip("/").rsplit("/", 1)[1] not in str(list(IdempotencyKey.objects.values()))


@pytest.mark.parametrize("body", [{"role": "owner"}, {"role": "king"}, {"note": "x" * 121}, {"email": "a@b.c"}])
def test_an_invitation_that_cannot_be_is_refused(admin: Caller, body: dict[str, Any]) -> None:
    problem(admin.post("/invitations", body), 422)
    assert not Invitation.objects.exists()


def test_only_admins_change_who_belongs_here(admin: Caller, colleague: Membership) -> None:
    for role in ("viewer", "editor", "reviewer"):
        caller = make_caller(admin.project, role)
        problem(caller.patch(f"/members/{colleague.pk}", {"role": "admin"}), 403)
        problem(caller.delete(f"/members/{colleague.pk}"), 403)
        problem(caller.post("/invitations", {"role": "viewer"}), 403)
        problem(caller.get("/invitations"), 403)


def test_the_members_of_another_project_are_not_there(admin: Caller, colleague: Membership) -> None:
    elsewhere = make_caller(make_project("elsewhere"))
    invitation = admin.ok("POST", "/invitations", {}, status=201)
    problem(elsewhere.patch(f"/members/{colleague.pk}", {"role": "viewer"}), 404)
    problem(elsewhere.delete(f"/members/{colleague.pk}"), 404)
    problem(elsewhere.delete(f"/invitations/{invitation['id']}"), 404)
    assert [one["email"] for one in elsewhere.ok("GET", "/members")["items"]] == ["owner@elsewhere.test"]
    for number in (0, 2**63):
        problem(admin.patch(f"/members/{number}", {"role": "viewer"}), 404)
