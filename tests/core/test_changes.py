"""The change feed tells of every committed change once, whatever the order of commits."""

import threading

import pytest
from django.db import connection, transaction

from promptops.core import changes
from promptops.prompts.services import archive_prompt, move_label
from tests.people import make_team

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_tells_which_projects_changed() -> None:
    team = make_team()
    version = team.prompt()
    first = changes.look(None)
    assert first.projects is None

    quiet = changes.look(first.snapshot)
    assert quiet.projects == frozenset()

    move_label(team.actor("editor"), version.prompt, "production", version)
    moved = changes.look(quiet.snapshot)
    assert moved.projects == frozenset({team.project.pk})
    assert changes.look(moved.snapshot).projects == frozenset()

    archive_prompt(team.actor("editor"), version.prompt)
    assert changes.look(moved.snapshot).projects == frozenset({team.project.pk})


def test_it_does_not_miss_a_transaction_that_began_before_a_look_and_commits_after_it() -> None:
    team = make_team()
    version = team.prompt()
    written, may_commit = threading.Event(), threading.Event()

    def slow_writer() -> None:
        with transaction.atomic():
            move_label(team.actor("editor"), version.prompt, "production", version)
            written.set()
            may_commit.wait(10)
        connection.close()

    start = changes.look(None)
    writer = threading.Thread(target=slow_writer)
    writer.start()
    written.wait(10)
    # A later transaction commits first, as it would move a counter past the slow one.
    archive_prompt(team.actor("editor"), team.prompt("other").prompt)
    during = changes.look(start.snapshot)
    may_commit.set()
    writer.join(10)
    after = changes.look(during.snapshot)

    assert during.projects == frozenset({team.project.pk})
    assert after.projects == frozenset({team.project.pk})


def test_pruning_keeps_what_a_live_process_may_not_have_seen() -> None:
    team = make_team()
    start = changes.look(None)
    team.prompt()
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO core_change (project_id, at) VALUES (99, now() - interval '2 hours')")

    assert changes.prune() == 1
    assert changes.look(start.snapshot).projects == frozenset({team.project.pk})
