"""Who hears of a change request, and what webhooks are told."""

from __future__ import annotations

import pytest

from promptops.accounts.audit_names import named_events
from promptops.audit.querysets import events_of
from promptops.notifications.models import Event, Notification
from promptops.notifications.services import create_webhook
from promptops.reviews import services
from tests.people import Team
from tests.reviews.reviewing import proposed, protect, released, save

pytestmark = pytest.mark.django_db


def heard(team: Team) -> list[tuple[str, str]]:
    """Who heard what since the last look."""
    told = Notification.objects.filter(kind__startswith="review.").order_by("user__name", "id")
    found = [(one.user.name, one.kind) for one in told.select_related("user")]
    told.delete()
    return found


def test_each_hears_of_what_concerns_them(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt, draft=True, reviewers=[team.reviewer])
    assert heard(team) == []
    services.request_review(team.actor("editor"), change)
    assert heard(team) == [("Reviewer", "review.requested")]
    remark = services.comment(team.actor("reviewer"), change, body="Why?")
    assert heard(team) == [("Editor", "review.commented")]
    services.comment(team.actor("editor"), change, body="Because.", reply_to=remark)
    assert heard(team) == [("Reviewer", "review.commented")]
    services.request_changes(team.actor("reviewer"), change, body="Shorter")
    assert heard(team) == [("Editor", "review.changes_requested")]
    services.replace_candidate(team.actor("editor"), change, version=save(team, prompt, "short"))
    assert heard(team) == [("Reviewer", "review.amended")]
    services.approve(team.actor("reviewer"), change)
    assert heard(team) == [("Editor", "review.approved")]
    services.merge(team.actor("editor"), change)
    assert heard(team) == [("Reviewer", "review.closed")]


def test_every_admin_hears_of_broken_glass(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    services.break_glass(team.actor("owner"), proposed(team, prompt), reason="now")
    assert ("Admin", "review.glass_broken") in heard(team)
    services.break_glass_label(team.actor("owner"), prompt, "production", None, reason="off")
    assert heard(team) == [("Admin", "review.glass_broken")]


def test_webhooks_are_told_without_texts(team: Team) -> None:
    create_webhook(team.actor("admin"), team.project, url="https://hooks.example/", events=["change.proposed"])
    prompt = released(team).prompt
    proposed(team, prompt, "a secret text")
    payload = Event.objects.get().body
    assert '"number":1' in payload.replace(" ", "")
    assert "secret" not in payload


def test_the_audit_log_names_what_it_speaks_of(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    services.set_code_owners(team.actor("admin"), team.project, "billing", [team.reviewer])
    proposed(team, prompt, title="Warmer")
    named = {one.event.action: one.target.name for one in named_events(team.project, events_of(team.project.pk))}
    assert named["change.proposed"] == "#1 Warmer"
    assert named["label_policy.set"] == "production · all prompts"
    assert named["code_owners.set"] == "billing"
