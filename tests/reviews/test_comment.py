"""Remarks on lines, threads, and suggestions that apply with a click."""

from __future__ import annotations

import pytest

from promptops.core.errors import Conflict, Forbidden, Invalid
from promptops.reviews import services
from promptops.reviews.models import ChangeRequest
from promptops.reviews.selectors import authors_of, is_outdated, standing_of, threads_of
from tests.people import Team
from tests.reviews.reviewing import fresh, proposed, protect, released, save

pytestmark = pytest.mark.django_db


@pytest.fixture
def change(team: Team) -> ChangeRequest:
    prompt = released(team).prompt
    protect(team)
    return proposed(team, prompt, "Greet {{ name }}.\nBe brief.")


def test_a_thread_is_opened_on_a_line_answered_and_resolved(team: Team, change: ChangeRequest) -> None:
    first = services.comment(team.actor("reviewer"), change, body="Too brief?", message_index=1, line=2)
    reply = services.comment(team.actor("editor"), change, body="Fine.", reply_to=first)
    again = services.comment(team.actor("reviewer"), change, body="OK.", reply_to=reply)
    general = services.comment(team.actor("reviewer"), change, body="Nice work")
    assert threads_of(change) == [(first, [reply, again]), (general, [])]
    assert (reply.message_index, reply.line, again.thread) == (1, 2, first)
    resolved = services.resolve_thread(team.actor("editor"), reply)
    assert (resolved, resolved.resolved_by) == (first, team.editor)
    assert not services.unresolve_thread(team.actor("editor"), first).is_resolved


@pytest.mark.parametrize(
    ("place", "field"),
    [
        ({"message_index": 2}, "message_index"),
        ({"message_index": 1, "line": 3}, "line"),
        ({"line": 1}, "line"),
        ({"message_index": 1, "line": 2, "side": "old"}, "line"),
        ({"message_index": 1, "line": 1, "side": "middle"}, "side"),
        ({"message_index": 1, "suggestion": "x"}, "suggestion"),
        ({"message_index": 1, "line": 1, "side": "old", "suggestion": "x"}, "suggestion"),
        ({"body": "  "}, "body"),
    ],
)
def test_a_remark_stands_where_there_is_something(
    team: Team, change: ChangeRequest, place: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        services.comment(team.actor("reviewer"), change, **{"body": "?", **place})  # type: ignore[arg-type]
    assert list(refused.value.errors) == [field]


def test_a_suggestion_becomes_a_version_of_who_applies_it(team: Team, change: ChangeRequest) -> None:
    services.approve(team.actor("reviewer"), change)
    suggested = services.comment(
        team.actor("reviewer"), change, body="", message_index=1, line=2, suggestion="Be brief\nand polite."
    )
    version = services.apply_suggestion(team.actor("editor"), suggested)
    assert version.content["messages"][1]["content"] == "Greet {{ name }}.\nBe brief\nand polite."
    assert (version.author, version.parent) == (team.editor, change.candidate)
    amended = fresh(change)
    assert (amended.candidate, amended.state, standing_of(amended).approvals) == (version, "open", [])
    # Whoever suggests does not become an author: the editor took the words as their own.
    assert authors_of(amended) == {team.editor.pk}
    suggested.refresh_from_db()
    assert (suggested.applied_in, suggested.is_resolved, is_outdated(suggested, amended)) == (version, True, True)
    with pytest.raises(Conflict) as refused:
        services.apply_suggestion(team.actor("editor"), suggested)
    assert refused.value.code == "stale_suggestion"


def test_a_suggestion_for_a_text_that_changed_is_not_applied(team: Team, change: ChangeRequest) -> None:
    suggested = services.comment(team.actor("reviewer"), change, body="Drop it", message_index=1, line=2, suggestion="")
    services.replace_candidate(team.actor("editor"), change, version=save(team, change.prompt, "rewritten"))
    with pytest.raises(Conflict) as refused:
        services.apply_suggestion(team.actor("editor"), suggested)
    assert refused.value.code == "stale_suggestion"
    assert is_outdated(suggested, fresh(change))


def test_a_viewer_reads_and_does_not_write(team: Team, change: ChangeRequest) -> None:
    with pytest.raises(Forbidden):
        services.comment(team.actor("viewer"), change, body="Hm")
