"""The page of a change request: from the proposal to the merge, as people see it."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from promptops.accounts.models import ApiToken
from promptops.prompts.models import PromptVersion
from promptops.prompts.services import create_version, move_label
from promptops.reviews import services
from promptops.reviews.models import ChangeRequest, ReviewComment
from tests.html import HTMX, Page, signed_in, toast_of
from tests.people import GREETING, Team
from tests.reviews.pages import act, look, path
from tests.reviews.reviewing import fresh, live, merged, proposed, protect, released, save

pytestmark = pytest.mark.django_db
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture
def change(team: Team) -> ChangeRequest:
    """Version 2 for `production`, which is protected and stands at version 1."""
    prompt = released(team).prompt
    protect(team)
    return proposed(team, prompt, "Greet {{ name }} warmly.\nBe short.", reviewers=[team.reviewer])


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

    page = act(editor, "merge", change)
    assert "“production” went to version 2" in page.text
    assert live(prompt) == 2
    assert page.all("form", action=f"/p/team/prompts/{prompt.slug}/labels/production/rollback/")


def test_owners_of_the_folder_are_chosen_at_first(team: Team) -> None:
    prompt = released(team, folder="support").prompt
    services.set_code_owners(team.actor("admin"), team.project, "support", [team.reviewer])
    form = Page(signed_in(team.editor).get(path("propose", prompt.slug)))
    chosen = [one.attributes["value"] for one in form.all("input", name="reviewers") if "checked" in one.attributes]
    assert chosen == [str(team.reviewer.pk)]


def test_a_version_that_is_proposed_already_leads_to_its_request(team: Team, change: ChangeRequest) -> None:
    client = signed_in(team.editor)
    given = {"version": 2, "label": "production", "title": "Kept", "description": "kept, too"}
    form = Page(client.post(path("propose", change.prompt.slug), given), 409)
    assert form.link(f"Open #{change.number}") == path("detail", change.number)
    assert form.values()["title"] == "Kept"
    assert form.values()["description"] == "kept, too"
    assert ChangeRequest.objects.count() == 1


def test_lines_have_the_numbers_of_their_texts_and_words_are_marked(team: Team, change: ChangeRequest) -> None:
    page = look(signed_in(team.reviewer), change)
    new = [one for one in page.all("div", class_="rv-text") if "is-new" in one.attributes["class"].split()]
    assert ["".join(one.text.split()) for one in new] == ["Greet{{name}}warmly.", "Beshort."]
    numbers = [one.attributes["data-line"] for one in page.all("button", class_="rv-num", data_side="new")]
    assert numbers == ["1", "2"]
    assert "warmly" in " ".join(one.text for one in page.all("ins"))


def test_a_line_is_discussed_and_the_thread_settled(team: Team, change: ChangeRequest) -> None:
    reviewer, editor = signed_in(team.reviewer), signed_in(team.editor)
    place: dict[str, Any] = {"message_index": 1, "line": 2, "side": "new"}
    page = act(reviewer, "comment", change, body="How short?", **place)
    first = ReviewComment.objects.get()
    assert (first.message_index, first.line, first.version) == (1, 2, change.candidate)
    assert page.one(id=f"thread-{first.pk}").one("p", class_="rv-words").text == "How short?"
    page = act(editor, "comment", change, body="One sentence.", reply_to=first.pk)
    assert "One sentence." in page.one(id=f"thread-{first.pk}").text
    page = act(editor, "resolve", change, first.pk)
    assert "settled by Editor" in page.one(id=f"thread-{first.pk}").text
    page = act(editor, "unresolve", change, first.pk)
    assert "settled by" not in page.one(id=f"thread-{first.pk}").text


def test_what_stands_in_the_way_is_told_at_the_form(team: Team, change: ChangeRequest) -> None:
    client = signed_in(team.reviewer)
    answer = client.post(path("verdict", change.number), {"kind": "request_changes", "body": " "}, headers=HTMX)
    assert Page(answer, 422).text == "Say what should change."
    assert answer.headers["HX-Retarget"] == "find .form-problem"
    assert not fresh(change).verdicts.exists()


def test_an_approval_of_what_is_not_proposed_any_more_is_refused(team: Team, change: ChangeRequest) -> None:
    reviewer, editor = signed_in(team.reviewer), signed_in(team.editor)
    save(team, change.prompt, "Greet {{ name }} in English.")
    page = act(editor, "amend", change, version=3)
    assert "v1 → v3" in page.text
    told = act(reviewer, "verdict", change, status=422, kind="approve", expected=2)
    assert "Version 3 is proposed now, not version 2" in told.text


def test_amending_lets_approvals_die_and_marks_what_was_said_of_lines(team: Team, change: ChangeRequest) -> None:
    reviewer, editor = signed_in(team.reviewer), signed_in(team.editor)
    act(reviewer, "comment", change, body="How short?", message_index=1, line=2, side="new")
    assert "Nothing is missing" in act(reviewer, "verdict", change, kind="approve").text
    save(team, change.prompt, "Greet {{ name }} in English.")
    page = act(editor, "amend", change, version=3)
    assert "It needs 1 more approval." in page.text
    assert "counts no more" in page.text
    thread = page.one("details", class_="rv-thread")
    assert "outdated" in thread.text
    assert "on version 2" in thread.text


def test_a_suggestion_is_applied_with_one_click(team: Team, change: ChangeRequest) -> None:
    place: dict[str, Any] = {"message_index": 1, "line": 2, "side": "new"}
    act(signed_in(team.reviewer), "comment", change, suggests="1", suggestion="Be\r\nkind.", **place)
    editor = signed_in(team.editor)
    page = act(editor, "apply", change, ReviewComment.objects.get().pk)
    assert fresh(change).candidate.content["messages"][1]["content"] == "Greet {{ name }} warmly.\nBe\nkind."
    assert "v1 → v3" in page.text
    assert "Suggestion, applied in version 3" in page.text


def test_an_author_is_told_why_others_review(team: Team, change: ChangeRequest) -> None:
    page = look(signed_in(team.editor), change)
    assert "You wrote some of it or proposed it, so others review it." in page.text
    assert not page.all(id="verdict-dialog")
    assert look(signed_in(team.reviewer), change).all(id="verdict-dialog")


def test_a_viewer_reads_all_of_it_and_can_do_nothing(team: Team, change: ChangeRequest) -> None:
    page = look(signed_in(team.viewer), change)
    assert "Greet {{ name }}" in page.text
    assert not page.content.all("form")
    assert not page.all("button", class_="rv-num")


def test_it_is_sent_back_rejected_and_opened_again(team: Team, change: ChangeRequest) -> None:
    reviewer, editor = signed_in(team.reviewer), signed_in(team.editor)
    assert (
        "Reviewer requested changes."
        in act(reviewer, "verdict", change, kind="request_changes", body="Shorter.").one("p", class_="rv-headline").text
    )
    assert act(reviewer, "reject", change, status=422, reason="").text == "Say why, for its author."
    page = act(reviewer, "reject", change, reason="Not now.")
    assert "Reviewer rejected it." in page.text
    assert "Not now." in page.text
    page = act(editor, "reopen", change)
    assert "It needs 1 more approval." in page.text


def test_a_verdict_is_dismissed_by_whoever_gave_it_or_by_an_admin(team: Team, change: ChangeRequest) -> None:
    reviewer, admin = signed_in(team.reviewer), signed_in(team.admin)
    dialog = f"dismiss-{team.reviewer.pk}"
    for role in ("reviewer", "admin"):
        assert not look(signed_in(getattr(team, role)), change).all(id=dialog)
    act(reviewer, "verdict", change, kind="request_changes", body="Shorter.")
    assert not look(signed_in(team.editor), change).all(id=dialog)
    assert look(reviewer, change).all(id=dialog)
    given = look(admin, change).one(id=dialog).one("input", name="reviewer").attributes["value"]
    assert act(admin, "dismiss", change, status=422, reviewer=given, reason="").text == "Say why, for the reviewer."
    page = act(admin, "dismiss", change, reviewer=given, reason="Left the company.")
    assert "Admin dismissed the verdict of Reviewer" in page.text
    assert "It needs 1 more approval." in page.text
    assert not page.all(id=dialog)


def test_its_author_withdraws_it_and_another_editor_does_not(team: Team, change: ChangeRequest) -> None:
    told = act(signed_in(team.reviewer), "withdraw", change, status=422)
    assert "Its author withdraws a change request, or an admin." in told.text
    assert "Editor withdrew it." in act(signed_in(team.editor), "withdraw", change, reason="Later.").text


def test_the_owner_breaks_the_glass_with_a_reason_and_the_slug(team: Team, change: ChangeRequest) -> None:
    owner = signed_in(team.owner)
    assert "Type “greeting”" in act(owner, "break-glass", change, status=422, typed="no", reason="fire").text
    assert "Say why" in act(owner, "break-glass", change, status=422, typed="greeting", reason="").text
    assert live(change.prompt) == 1
    page = act(owner, "break-glass", change, typed="greeting", reason="It promises refunds.")
    assert live(change.prompt) == 2
    assert "broke the glass" in page.text
    assert "It promises refunds." in page.text
    assert not look(signed_in(team.admin), change).all(id="glass-dialog")


def test_an_outdated_change_is_rebased(team: Team, change: ChangeRequest) -> None:
    other = services.propose(
        team.actor("editor"),
        change.prompt,
        version=save_parameters(team, change),
    )
    merged(team, other)
    editor = signed_in(team.editor)
    page = look(editor, change)
    assert page.link("Rebase…") == path("rebase", change.number)
    assert "Both changes fit together" in Page(editor.get(path("rebase", change.number))).text
    assert editor.post(path("rebase", change.number)).headers["Location"] == path("detail", change.number)
    content = fresh(change).candidate.content
    assert content["parameters"] == {"temperature": 0.9}
    assert content["messages"][1]["content"] == "Greet {{ name }} warmly.\nBe short."


def test_conflicts_are_settled_one_by_one(team: Team, change: ChangeRequest) -> None:
    merged(team, proposed(team, change.prompt, "Greet {{ name }} coolly."))
    editor = signed_in(team.editor)
    page = Page(editor.get(path("rebase", change.number)))
    assert "1 place that both sides changed" in page.text
    assert "Greet {{ name }} coolly." in page.text
    assert "Choose one of them." in Page(editor.post(path("rebase", change.number)), 422).text
    editor.post(path("rebase", change.number), {"conflict-0": "edit", "conflict-0-text": "Greet\r\n{{ name }}."})
    assert fresh(change).candidate.content["messages"][1]["content"] == "Greet\n{{ name }}."
    assert getattr(fresh(change).replaces, "number", None) == 3


def test_a_message_that_did_not_change_is_fetched_when_it_is_opened(team: Team, change: ChangeRequest) -> None:
    client = signed_in(team.reviewer)
    page = look(client, change)
    closed = page.one(id="message-0")
    assert "You are polite." not in closed.text
    lines = Page(client.get(closed.attributes["hx-get"], headers=HTMX))
    assert "You are polite." in lines.text
    act(client, "comment", change, body="Really?", message_index=0, line=1, side="new")
    assert "You are polite." in look(client, change).one(id="message-0").text


def test_callers_of_a_breaking_change_are_named(team: Team) -> None:
    prompt = released(team).prompt
    protect(team, checks=["contract"])
    team.token()
    ApiToken.objects.update(last_used_at=timezone.now())
    change = proposed(team, prompt, "Greet {{ name }} from {{ city }}.")
    page = look(signed_in(team.reviewer), change)
    assert "“city” must be given now" in page.text
    assert "test admin" in page.one(class_="rv-callers").text
    assert "A check that must pass has not passed." in page.text


def test_titles_are_edited_and_what_was_typed_is_kept(team: Team, change: ChangeRequest) -> None:
    client = signed_in(team.editor)
    form = Page(client.post(path("edit", change.number), {"title": "", "description": "kept"}), 422)
    assert form.values()["description"] == "kept"
    client.post(path("edit", change.number), {"title": NASTY[:150], "description": NASTY, "reviewers": []})
    changed = fresh(change)
    assert changed.description == NASTY
    page = look(client, change)
    assert "<script>alert(1)" not in page.source
    assert "<img src=x" not in page.source


def test_a_draft_waits_until_a_review_is_asked_for(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    save(team, prompt, "Greet {{ name }} warmly.")
    client = signed_in(team.editor)
    client.post(path("propose", prompt.slug), {"version": 2, "label": "production", "draft": "on"})
    change = ChangeRequest.objects.get()
    assert "A draft: nobody was asked for a review yet." in look(client, change).text
    assert "It needs 1 more approval." in act(client, "request-review", change).text


def test_the_view_is_remembered(team: Team, change: ChangeRequest) -> None:
    client = signed_in(team.reviewer)
    assert look(client, change).all(class_="is-sides")
    assert look(client, change, "?view=inline").all(class_="is-inline")
    assert act(client, "comment", change, body="Hm.").all(class_="is-inline")


def test_the_merge_of_a_label_that_moved_says_so(team: Team) -> None:
    prompt = released(team).prompt
    change = proposed(team, prompt)
    move_label(team.actor("editor"), prompt, "production", save(team, prompt, "Other."))
    told = act(signed_in(team.editor), "merge", change, status=422)
    assert "rebase it" in told.text
    assert live(prompt) == 3


def test_a_short_message_says_what_was_done(team: Team, change: ChangeRequest) -> None:
    answer = signed_in(team.reviewer).post(path("verdict", change.number), {"kind": "approve"}, headers=HTMX)
    assert toast_of(answer) == "You approved version 2."


def save_parameters(team: Team, change: ChangeRequest) -> PromptVersion:
    """A version that says the same as what is live, a little hotter."""
    hotter = {**GREETING, "parameters": {"temperature": 0.9}}
    return create_version(team.actor("editor"), change.prompt, hotter)[0]


def test_a_long_difference_comes_in_parts_as_one_comes_to_them(team: Team) -> None:
    text = "\n".join(f"line {number}" for number in range(200))
    messages = [{"role": "user", "content": f"message {number}\n{text}"} for number in range(4)]
    version = team.prompt("long", messages=messages)
    move_label(team.actor("editor"), version.prompt, "production", version)
    changed = [{**one, "content": one["content"].replace("line", "LINE")} for one in messages]
    after = create_version(team.actor("editor"), version.prompt, {**GREETING, "messages": changed})[0]
    change = services.propose(team.actor("editor"), version.prompt, version=after)
    client = signed_in(team.reviewer)
    page = look(client, change)
    assert "LINE 199" in page.one(id="message-1").text
    last = page.one(id="message-3")
    assert "LINE 199" not in last.text
    assert last.attributes["hx-trigger"] == "revealed"
    lines = Page(client.get(last.attributes["hx-get"], headers=HTMX))
    assert [one.attributes["data-line"] for one in lines.all("button", data_side="new")][-1] == "201"
    act(client, "comment", change, body="Why?", message_index=3, line=201, side="new")
    assert "LINE 199" in look(client, change).one(id="message-3").text
