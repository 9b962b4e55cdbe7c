"""The page of a change request: from the proposal to the merge, as people see it."""

from __future__ import annotations

import pytest

from promptops.reviews.models import ChangeRequest
from tests.html import Page, signed_in
from tests.people import Team
from tests.reviews.pages import act, look, path
from tests.reviews.reviewing import live, protect, released, save

pytestmark = pytest.mark.django_db


def test_a_version_is_proposed_reviewed_and_merged(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    version = save(team, prompt, "Greet {{ name }} warmly.")
    editor, reviewer = signed_in(team.editor), signed_in(team.reviewer)

    form = Page(editor.get(path("propose", prompt.slug, query=f"?version={version.number}&label=production")))
    assert "1 approval, not by its authors" in form.text
    assert "“production” goes from version 1 to 2" in form.text
    sent = editor.post(
        path("propose", prompt.slug),
        {"version": 2, "label": "production", "title": "Warmer", "reviewers": [team.reviewer.pk]},
    )
    change = ChangeRequest.objects.get()
    assert sent.headers["Location"] == path("detail", change.number)
    assert list(change.reviewers.all()) == [team.reviewer]

    page = look(reviewer, change)
    assert "It needs 1 more approval." in page.text
    assert not page.all("form", action=path("merge", change.number))
    approved = act(reviewer, "verdict", change, kind="approve", body="Good.", expected=2)
    assert "Nothing is missing: it can be merged." in approved.text
    assert "Reviewer approved version 2" in approved.text

    merged = act(editor, "merge", change)
    assert "“production” went to version 2" in merged.text
    assert live(prompt) == 2
    assert merged.all("form", action=f"/p/team/prompts/{prompt.slug}/labels/production/rollback/")
