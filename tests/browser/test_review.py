"""A change of what is live, played by the people who make it: proposed, discussed, sent back, amended, approved by two,
merged, served within a second, and rolled back.
"""

from __future__ import annotations

import re
import time

import httpx2
import pytest
from playwright.sync_api import Page, expect

from promptops.reviews import services
from promptops.reviews.models import ChangeRequest
from tests.browser.conftest import Browse
from tests.browser.editor import EditorPage
from tests.people import Team
from tests.reviews.reviewing import colleague, proposed, protect, released
from tests.web import WebServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SERVED_WITHIN = 1.0  # seconds after the click
PATIENCE = 10.0  # for a machine that is busy with something else; what counts is asserted


def test_a_change_is_proposed_discussed_amended_approved_by_two_merged_served_and_rolled_back(
    browse: Browse, team: Team, web: WebServer
) -> None:
    released(team)
    protect(team, approvals=2)
    second = colleague(team.project, "grace")
    editor, reviewer, other = browse(team.editor), browse(team.reviewer), browse(second)
    with web.client(team.token()) as caller:
        assert served(caller) == 1

        # The editor saves a version and proposes it.
        writing = EditorPage(editor).open(team)
        writing.write(2, "Greet {{ name }} warmly.\nUse one sentence.")
        writing.settled()
        writing.save("Warmer")
        editor.get_by_role("link", name="Propose it for production").click()
        expect(editor.get_by_text("2 approvals, not by its authors")).to_be_visible()
        editor.get_by_label("What changes, and why").fill("People found it cold.")
        editor.get_by_label("Reviewer").check()
        editor.get_by_role("button", name="Propose").click()
        expect(editor.get_by_text("It needs 2 more approvals.")).to_be_visible()
        change = ChangeRequest.objects.get()
        assert change.candidate.number == 2

        # A reviewer finds it waiting, comments on a line by keyboard, and sends it back.
        reviewer.goto(f"/p/{team.project.slug}/")
        reviewer.get_by_role("link", name=f"#{change.number} Warmer").click()
        comment_on_line(reviewer, "one sentence", "Which language?")
        expect(reviewer.locator(".rv-thread")).to_contain_text("Which language?")
        reviewer.locator("h1").click()
        reviewer.keyboard.press("a")
        verdict(reviewer, "Request changes", "Say which language.")
        expect(reviewer.get_by_text("Reviewer requested changes.")).to_be_visible()

        # The other one approves it all the same; the editor amends, and the approval dies.
        other.goto(f"/p/{team.project.slug}/changes/{change.number}/")
        verdict(other, "Approve", "Fine for me.", open_by="Review…")
        expect(other.get_by_text("1 of 2 approvals")).to_be_visible()
        writing.open(team)
        writing.write(2, "Greet {{ name }} warmly.\nUse one sentence in English.")
        writing.settled()
        writing.save("Names the language")
        writing.toast("Version 3 is saved").wait_for()
        editor.goto(f"/p/{team.project.slug}/changes/{change.number}/")
        editor.get_by_role("button", name="Amend").click()
        expect(editor.get_by_text("It needs 2 more approvals.")).to_be_visible()
        expect(editor.get_by_text("counts no more").first).to_be_visible()
        expect(editor.locator(".rv-story .rv-thread")).to_contain_text("outdated")

        # Both approve what is proposed now.
        for window in (reviewer, other):
            window.reload()
            verdict(window, "Approve", "", open_by="Review…")
        expect(other.get_by_text("Nothing is missing: it can be merged.")).to_be_visible()
        assert served(caller) == 1

        # The editor merges: it is served within a second.
        editor.reload()
        editor.get_by_role("button", name="Merge").click()
        clicked = time.monotonic()
        editor.get_by_role("dialog").get_by_role("button", name="Merge").click()
        assert when_served(caller, 3) - clicked < SERVED_WITHIN + 0.5  # half a second for the click itself
        expect(editor.get_by_role("status").filter(has_text="Editor merged it")).to_be_visible()

        # One click takes it back, without a review: it was live before.
        editor.get_by_role("button", name="Roll back to v1").click()
        clicked = time.monotonic()
        editor.get_by_role("dialog").get_by_role("button", name="Roll back").click()
        assert when_served(caller, 1) - clicked < SERVED_WITHIN + 0.5
        expect(editor.get_by_text("“production” is back at version 1.")).to_be_visible()


def test_a_suggestion_is_made_and_applied_with_one_click(browse: Browse, team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    change = proposed(team, prompt, "Greet {{ name }}.\nBe short.")
    reviewer, editor = browse(team.reviewer), browse(team.editor)
    reviewer.goto(f"/p/{team.project.slug}/changes/{change.number}/")
    line_of(reviewer, "Be short").click()
    form = reviewer.locator(".rv-line-form")
    form.get_by_label("Suggest a text").check()
    expect(form.get_by_role("textbox", name="Text in place")).to_have_value("Be short.")
    form.get_by_role("textbox", name="Text in place").fill("Be brief and kind.")
    form.get_by_role("button", name="Comment").click()
    expect(reviewer.locator(".rv-suggestion")).to_contain_text("Be brief and kind.")

    editor.goto(f"/p/{team.project.slug}/changes/{change.number}/")
    editor.get_by_role("button", name="Apply").click()
    expect(editor.locator(".rv-text.is-new", has_text="Be brief and kind.")).to_be_visible()
    expect(editor.get_by_text("Suggestion, applied in version 3")).to_be_attached()


def test_what_was_typed_under_a_line_outlives_a_reload_and_keys_walk_the_changes(browse: Browse, team: Team) -> None:
    prompt = released(team).prompt
    change = proposed(team, prompt, "Greet {{ name }}.\nBe short.")
    page = browse(team.reviewer)
    page.goto(f"/p/{team.project.slug}/changes/{change.number}/")
    expect(page.locator("#review[data-ready]")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("c")
    page.keyboard.type("Half a thought")
    page.reload()
    expect(page.get_by_label("Comment on this line")).to_have_value("Half a thought")
    page.get_by_role("button", name="Cancel").last.click()
    expect(page.locator(".rv-line-form")).to_have_count(0)
    page.locator("h1").click()
    page.keyboard.press("i")
    expect(page.locator(".rv-lines.is-inline").first).to_be_visible()


def test_what_was_released_meanwhile_is_settled_conflict_by_conflict(browse: Browse, team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    ours = proposed(team, prompt, "Greet {{ name }} warmly.")
    theirs = proposed(team, prompt, "Greet {{ name }} coolly.")
    services.approve(team.actor("reviewer"), theirs)
    services.merge(team.actor("editor"), theirs)
    page = browse(team.editor)
    page.goto(f"/p/{team.project.slug}/changes/{ours.number}/")
    expect(page.get_by_role("heading", name="Outdated")).to_be_visible()
    page.get_by_role("link", name="Rebase…").click()
    expect(page.get_by_text("1 place that both sides changed")).to_be_visible()
    page.get_by_label("Write it").check()
    page.get_by_label("Text for Message 2").fill("Greet {{ name }} warmly but calmly.")
    page.get_by_role("button", name="Rebase").click()
    expect(page.locator(".rv-text.is-new", has_text="warmly but calmly")).to_be_visible()
    expect(page.get_by_text("It needs 1 more approval.")).to_be_visible()
    expect(page).to_have_url(re.compile(rf"/changes/{ours.number}/$"))


def line_of(page: Page, text: str):  # type: ignore[no-untyped-def]
    """The number of a line of the new text."""
    return page.locator(".rv-line", has=page.locator(".rv-text.is-new", has_text=text)).locator('[data-side="new"]')


def comment_on_line(page: Page, text: str, body: str) -> None:
    """By keyboard: to the changed line, C, words, Ctrl+Enter."""
    expect(page.locator("#review[data-ready]")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator("button.rv-num:focus")).to_have_count(1)
    while not line_of(page, text).evaluate("one => one === document.activeElement"):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("c")
    page.keyboard.type(body)
    page.keyboard.press("Control+Enter")


def verdict(page: Page, kind: str, body: str, *, open_by: str = "") -> None:
    if open_by:
        page.get_by_role("button", name=open_by).first.click()
    dialog = page.get_by_role("dialog", name="Your review")
    dialog.get_by_label(kind, exact=False).first.check()
    dialog.get_by_label("What do you say?").fill(body)
    page.keyboard.press("Control+Enter")
    expect(dialog).to_have_count(0)


def served(caller: httpx2.Client) -> int:
    """The version that services get."""
    answer = caller.get("/api/v1/prompts/greeting/resolve", params={"label": "production"})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


def when_served(caller: httpx2.Client, number: int) -> float:
    """When services got that version for the first time (monotonic seconds)."""
    end = time.monotonic() + PATIENCE
    while served(caller) != number:
        assert time.monotonic() < end, f"version {number} was never served"
        time.sleep(0.02)
    return time.monotonic()
