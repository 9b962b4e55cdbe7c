"""Membership, invitations, tokens: what each role may do, and what stops working when it is taken away."""

import datetime as dt

import pytest
from django.utils import timezone

from promptops.accounts import throttle
from promptops.accounts.actors import token_actor, user_actor
from promptops.accounts.models import ApiToken, Membership, Role
from promptops.accounts.policies import Permission, can
from promptops.accounts.services import (
    accept_invitation,
    change_role,
    create_invitation,
    create_project,
    create_sign_in_link,
    create_user,
    hand_over,
    redeem_sign_in_link,
    remove_member,
    revoke_invitation,
)
from promptops.accounts.tokens import authenticate, create_token, revoke_token
from promptops.core.errors import Forbidden, Invalid, NotFound, RateLimited, Unauthenticated
from tests.people import Team


def test_each_role_includes_the_one_before(team: Team) -> None:
    expected = {
        "viewer": {Permission.READ},
        "editor": {Permission.READ, Permission.RUN, Permission.WRITE},
        "reviewer": {Permission.READ, Permission.RUN, Permission.WRITE, Permission.REVIEW},
        "admin": set(Permission) - {Permission.OWN},
        "owner": set(Permission),
        "outsider": set(),
    }
    for role, permissions in expected.items():
        assert {one for one in Permission if can(team.actor(role), team.project, one)} == permissions, role


def test_an_invitation_works_once(team: Team) -> None:
    _invitation, secret = create_invitation(team.actor("admin"), team.project, role="editor")
    membership = accept_invitation(secret, team.outsider)

    assert membership.role == Role.EDITOR
    with pytest.raises(NotFound):
        accept_invitation(secret, team.viewer)


def test_an_invitation_never_lowers_a_role(team: Team) -> None:
    _invitation, secret = create_invitation(team.actor("owner"), team.project, role="viewer")
    assert accept_invitation(secret, team.admin).role == Role.ADMIN


def test_a_revoked_or_old_invitation_is_refused(team: Team) -> None:
    invitation, secret = create_invitation(team.actor("admin"), team.project, role="viewer")
    revoke_invitation(team.actor("admin"), invitation)
    with pytest.raises(NotFound):
        accept_invitation(secret, team.outsider)

    old, secret = create_invitation(team.actor("admin"), team.project, role="viewer")
    old.expires_at = timezone.now() - dt.timedelta(seconds=1)
    old.save()
    with pytest.raises(NotFound):
        accept_invitation(secret, team.outsider)


@pytest.mark.parametrize("fate", ["removed", "demoted"])
def test_an_invitation_of_somebody_who_administers_no_more_is_refused(team: Team, fate: str) -> None:
    _invitation, secret = create_invitation(team.actor("admin"), team.project, role="admin")
    membership = Membership.objects.get(project=team.project, user=team.admin)
    if fate == "removed":
        remove_member(team.actor("owner"), membership)
    else:
        change_role(team.actor("owner"), membership, role="viewer")
    with pytest.raises(NotFound):
        accept_invitation(secret, team.admin)


@pytest.mark.parametrize("act", ["demote", "remove", "invite"])
def test_who_has_just_become_the_owner_stays_the_owner(team: Team, act: str) -> None:
    # What another request had read before the project was handed over.
    stale = Membership.objects.select_related("project").get(project=team.project, user=team.editor)
    hand_over(team.actor("owner"), Membership.objects.select_related("project").get(pk=stale.pk))
    if act == "invite":
        _invitation, secret = create_invitation(team.actor("admin"), team.project, role="admin")
        accept_invitation(secret, team.editor)
    else:
        with pytest.raises(Forbidden):
            change_role(team.actor("admin"), stale, role="viewer") if act == "demote" else remove_member(
                team.actor("admin"), stale
            )
    stale.refresh_from_db()
    assert stale.role == Role.OWNER


@pytest.mark.parametrize("role", ["viewer", "editor", "reviewer"])
def test_only_admins_invite(team: Team, role: str) -> None:
    with pytest.raises(Forbidden):
        create_invitation(team.actor(role), team.project, role="viewer")


def test_nobody_becomes_owner_by_invitation(team: Team) -> None:
    with pytest.raises(Invalid):
        create_invitation(team.actor("owner"), team.project, role="owner")


def test_the_owner_stays_and_nobody_changes_their_own_role(team: Team) -> None:
    owner = Membership.objects.get(project=team.project, user=team.owner)
    admin = Membership.objects.get(project=team.project, user=team.admin)
    for member in (owner, admin):
        with pytest.raises(Forbidden):
            change_role(team.actor("admin"), member, role="viewer")
        with pytest.raises(Forbidden):
            remove_member(team.actor("admin"), member)


def test_a_token_is_stored_as_a_digest_and_authenticates(team: Team) -> None:
    token, secret = create_token(team.actor("admin"), team.project, name="ci", role="editor")

    assert authenticate(secret) == token
    assert secret not in str(ApiToken.objects.values().get(pk=token.pk))
    for wrong in (secret[:-1], secret + "x", "po_", ""):
        with pytest.raises(Unauthenticated):
            authenticate(wrong)


def test_a_revoked_or_expired_token_says_so(team: Team) -> None:
    token, secret = create_token(team.actor("admin"), team.project, name="ci", role="viewer")
    revoke_token(team.actor("owner"), token)
    with pytest.raises(Unauthenticated, match="revoked"):
        authenticate(secret)

    soon = timezone.now() + dt.timedelta(hours=1)
    token, secret = create_token(team.actor("admin"), team.project, name="ci", role="viewer", expires_at=soon)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    with pytest.raises(Unauthenticated, match="expired"):
        authenticate(secret)


def test_a_token_can_do_no_more_than_its_creator_can_today(team: Team) -> None:
    _token, secret = create_token(team.actor("admin"), team.project, name="ci", role="admin")
    assert can(token_actor(authenticate(secret)), team.project, Permission.ADMIN)

    member = Membership.objects.get(project=team.project, user=team.admin)
    change_role(team.actor("owner"), member, role="viewer")
    actor = token_actor(authenticate(secret))
    assert not can(actor, team.project, Permission.WRITE)
    assert can(actor, team.project, Permission.READ)

    remove_member(team.actor("owner"), member)
    assert not can(token_actor(authenticate(secret)), team.project, Permission.READ)


def test_a_token_is_limited_to_its_scopes_and_its_project(team: Team) -> None:
    _token, secret = create_token(team.actor("owner"), team.project, name="app", role="editor", scopes=["read", "run"])
    actor = token_actor(authenticate(secret))

    assert can(actor, team.project, Permission.RUN)
    assert not can(actor, team.project, Permission.WRITE)
    assert not can(actor, team.elsewhere, Permission.READ)


@pytest.mark.parametrize(
    "options",
    [
        {"name": " "},
        {"role": "owner"},
        {"role": "king"},
        {"scopes": ["admin"]},
        {"scopes": []},
        {"expires_at": timezone.now() - dt.timedelta(days=1)},
    ],
)
def test_a_bad_token_is_refused_with_the_field_named(team: Team, options: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        create_token(team.actor("admin"), team.project, **{"name": "x", "role": "editor", **options})  # type: ignore[arg-type]
    assert set(refused.value.errors) == set(options)


def test_a_sign_in_link_works_once_and_not_for_ever(team: Team) -> None:
    secret = create_sign_in_link(team.viewer)
    assert redeem_sign_in_link(secret) == team.viewer
    with pytest.raises(NotFound):
        redeem_sign_in_link(secret)
    with pytest.raises(NotFound):
        redeem_sign_in_link(create_sign_in_link(team.viewer, life=dt.timedelta(0)))


def test_guessing_is_slowed_down_by_account_whatever_the_case(team: Team) -> None:
    for _try in range(throttle.MAX_PER_ACCOUNT):
        throttle.check("owner@team.example", "10.0.0.1")
        throttle.note_failure("Owner@team.example", "10.0.0.1")
    with pytest.raises(RateLimited):
        throttle.check("OWNER@team.example", "10.9.9.9")
    throttle.check("viewer@team.example", "10.9.9.9")


@pytest.mark.django_db
def test_people_are_told_all_that_is_wrong_with_an_account() -> None:
    create_user(email="a@b.example", name="A")
    with pytest.raises(Invalid) as refused:
        create_user(email="A@B.example", name="", password="short")
    assert set(refused.value.errors) == {"email", "name", "password"}


def test_a_project_needs_a_free_well_formed_slug(team: Team) -> None:
    for slug in ("team", "Bad Slug", "-x", "new", "x" * 61):
        with pytest.raises(Invalid) as refused:
            create_project(user_actor(team.owner), name="Name", slug=slug)
        assert "slug" in refused.value.errors
    assert create_project(user_actor(team.owner), name="Support Bot").slug == "support-bot"
