"""Who is told of what, and how often."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from promptops.accounts.actors import SYSTEM
from promptops.accounts.services import remove_member
from promptops.notifications.models import EmailChoice, Notification
from promptops.notifications.services import notify
from tests.people import Team

PARAMS = {"label": "production", "prompt": "greeting", "version": 3}


def tell(team: Team, *people: Any, by: str = "editor", **changes: Any) -> int:
    options = {"params": PARAMS, "url": "/p/team/prompts/greeting/", "actor": team.actor(by), **changes}
    return notify(team.project, people, "label.moved", **options)


def test_it_makes_a_row_a_person(team: Team) -> None:
    assert tell(team, team.admin, team.viewer) == 2
    assert {row.user for row in Notification.objects.all()} == {team.admin, team.viewer}


def test_it_does_not_tell_people_of_their_own_acts(team: Team) -> None:
    assert tell(team, team.editor, team.admin, by="editor") == 1
    assert Notification.objects.get().user == team.admin


def test_it_does_not_tell_the_maker_of_a_token_what_the_token_did(team: Team) -> None:
    from promptops.accounts.actors import token_actor
    from promptops.accounts.models import ApiToken

    team.token("editor")
    actor = token_actor(ApiToken.objects.select_related("created_by", "project").get())
    assert tell(team, team.owner, actor=actor) == 0


def test_it_tells_nobody_outside_the_project(team: Team) -> None:
    remove_member(SYSTEM, team.project.memberships.get(user=team.viewer))
    team.reviewer.is_active = False
    team.reviewer.save()
    assert tell(team, team.outsider, team.viewer, team.reviewer) == 0
    assert not Notification.objects.exists()


def test_it_tells_the_same_unread_thing_once_and_counts(team: Team) -> None:
    tell(team, team.admin)
    tell(team, team.admin, params={**PARAMS, "version": 4}, by="reviewer")
    row = Notification.objects.get()
    assert (row.times, row.params["version"], row.actor_user) == (2, 4, team.reviewer)


def test_it_tells_again_once_the_first_was_read(team: Team) -> None:
    tell(team, team.admin)
    Notification.objects.update(read_at=timezone.now())
    tell(team, team.admin)
    assert Notification.objects.count() == 2
    assert Notification.objects.get(read_at=None).times == 1


def test_it_keeps_different_things_apart(team: Team) -> None:
    tell(team, team.admin)
    tell(team, team.admin, key="something else")
    tell(team, team.admin, url="/p/team/prompts/other/")
    assert Notification.objects.count() == 3


def test_it_cuts_long_names(team: Team) -> None:
    tell(team, team.admin, params={"prompt": "x" * 5000})
    assert len(Notification.objects.get().params["prompt"]) == 200


def test_it_refuses_addresses_that_are_not_pages_of_ours(team: Team) -> None:
    for url in ("https://evil.example/", "//evil.example/", "javascript:alert(1)", ""):
        with pytest.raises(ValueError, match="path"):
            tell(team, team.admin, url=url)


def test_it_refuses_a_kind_that_nobody_registered(team: Team) -> None:
    with pytest.raises(LookupError):
        notify(team.project, [team.admin], "no.such", params={}, url="/", actor=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_it_needs_the_transaction_of_what_happened() -> None:
    from tests.people import make_team

    team = make_team()
    with pytest.raises(RuntimeError):
        tell(team, team.admin)
    with transaction.atomic():
        tell(team, team.admin)
    assert Notification.objects.exists()


def test_it_queues_an_email_only_for_who_wants_one(team: Team, settings: Any) -> None:
    settings.EMAIL_ENABLED = True
    EmailChoice.objects.create(user=team.admin, kind="label.moved", wanted=True)
    tell(team, team.admin, team.viewer)
    due = {row.user: row.email_due_at is not None for row in Notification.objects.all()}
    assert due == {team.admin: True, team.viewer: False}


def test_it_queues_no_email_where_the_installation_sends_none(team: Team, settings: Any) -> None:
    settings.EMAIL_ENABLED = False
    EmailChoice.objects.create(user=team.admin, kind="label.moved", wanted=True)
    tell(team, team.admin)
    assert Notification.objects.get().email_due_at is None
