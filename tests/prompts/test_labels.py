"""Labels: moving, rolling back, and what served when."""

import datetime as dt

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from promptops.core.errors import Conflict, Invalid, NotFound
from promptops.prompts.models import Label, LabelMove, PromptVersion
from promptops.prompts.selectors import get_version, label_at, labels_at
from promptops.prompts.services import create_version, move_label, remove_label, rollback_label
from tests.people import GREETING, Team


def make_versions(team: Team, count: int) -> list[PromptVersion]:
    versions = [team.prompt()]
    for number in range(2, count + 1):
        content = {**GREETING, "messages": [{"role": "user", "content": f"text {number}"}]}
        versions.append(create_version(team.actor("editor"), versions[0].prompt, content)[0])
    return versions


def test_a_label_says_what_is_served_and_keeps_its_history(team: Team) -> None:
    first, second = make_versions(team, 2)
    prompt = first.prompt
    move_label(team.actor("editor"), prompt, "production", first, reason="first release")
    move_label(team.actor("reviewer"), prompt, "production", second, reason="better")

    assert get_version(prompt) == second
    moves = LabelMove.objects.order_by("id")
    assert [(m.from_version, m.to_version, m.reason, m.actor_user) for m in moves] == [
        (None, first, "first release", team.editor),
        (first, second, "better", team.reviewer),
    ]
    assert moves[1].closure_sha256 == second.closure_sha256


def test_moving_to_where_it_stands_is_nothing(team: Team) -> None:
    (first,) = make_versions(team, 1)
    assert move_label(team.actor("editor"), first.prompt, "staging", first) is not None
    assert move_label(team.actor("editor"), first.prompt, "staging", first) is None
    assert LabelMove.objects.count() == 1


def test_rollback_goes_to_what_stood_there_before(team: Team) -> None:
    first, second, third = make_versions(team, 3)
    prompt, editor = first.prompt, team.actor("editor")
    for version in (first, second):
        move_label(editor, prompt, "production", version)

    move = rollback_label(editor, prompt, "production", reason="complaints")
    assert move is not None
    assert move.authority == LabelMove.Authority.ROLLBACK
    assert get_version(prompt) == first
    rollback_label(editor, prompt, "production", version=second)
    assert get_version(prompt) == second
    with pytest.raises(Conflict) as refused:
        rollback_label(editor, prompt, "production", version=third)
    assert refused.value.code == "never_live"


def test_a_removed_label_serves_nothing_and_can_be_rolled_back(team: Team) -> None:
    (first,) = make_versions(team, 1)
    move_label(team.actor("editor"), first.prompt, "production", first)
    remove_label(team.actor("editor"), first.prompt, "production")
    with pytest.raises(NotFound):
        get_version(first.prompt)
    rollback_label(team.actor("editor"), first.prompt, "production")
    assert get_version(first.prompt) == first


def test_who_has_not_seen_the_last_move_does_not_undo_it(team: Team) -> None:
    first, second = make_versions(team, 2)
    editor = team.actor("editor")
    move_label(editor, first.prompt, "production", first, expected=0)
    with pytest.raises(Conflict) as refused:
        move_label(editor, first.prompt, "production", second, expected=0)
    assert (refused.value.code, refused.value.extra["version"]) == ("label_moved", 1)
    move_label(editor, first.prompt, "production", second, expected=1)


@pytest.mark.parametrize("name", ["latest", "Production", "a b", "", "x" * 61, "-x"])
def test_names_are_checked_and_latest_is_computed(team: Team, name: str) -> None:
    (first,) = make_versions(team, 1)
    with pytest.raises(Invalid):
        move_label(team.actor("editor"), first.prompt, name, first)


def test_it_answers_what_served_at_a_moment(team: Team) -> None:
    first, second = make_versions(team, 2)
    prompt, editor = first.prompt, team.actor("editor")
    before = timezone.now()
    move_label(editor, prompt, "production", first)
    between = timezone.now()
    move_label(editor, prompt, "production", second)

    assert label_at(prompt, "production", before) is None
    then, now = label_at(prompt, "production", between), label_at(prompt, "production", timezone.now())
    assert [move.to_version for move in (then, now) if move] == [first, second]
    assert labels_at(first, between) == ["production"]
    assert labels_at(first, timezone.now()) == []
    assert label_at(prompt, "production", before - dt.timedelta(days=1)) is None


def test_the_database_keeps_history_and_refuses_a_version_of_another_prompt(team: Team) -> None:
    (first,) = make_versions(team, 1)
    other = team.prompt("other")
    move_label(team.actor("editor"), first.prompt, "production", first)
    label = Label.objects.get()
    for statement, value in (
        ("UPDATE prompts_label SET version_id = %s", other.pk),
        ("UPDATE prompts_labelmove SET to_version_id = %s", other.pk),
        ("DELETE FROM prompts_labelmove WHERE label_id = %s", label.pk),
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [value])
