"""Nothing that was typed is lost: reloads, lost sessions, lost connections, and two windows on one draft."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from promptops.prompts.models import Draft
from promptops.prompts.services import commit_draft
from tests.browser.conftest import Browse, sign_in
from tests.browser.editor import EditorPage
from tests.people import Team
from tests.web import WebServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def stored_text(message: int = 2) -> str:
    return str(Draft.objects.get().content["messages"][message - 1]["content"])


def come_back(page: Page) -> None:
    """The person returns to the window: the page tries again at once."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_what_was_typed_survives_a_reload(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.write(2, "Half a {{ sentence")
    editor.settled()
    page.reload()

    expect(editor.text(2)).to_have_text("Half a {{ sentence")
    expect(page.locator("#editor-base")).to_contain_text("Draft")
    assert stored_text() == "Half a {{ sentence"


def test_a_reload_before_the_first_save_loses_nothing(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.write(2, "Typed and reloaded at once")
    page.reload()

    expect(editor.text(2)).to_have_text("Typed and reloaded at once")


def test_a_new_prompt_survives_a_reload_with_its_heading_and_values(page: Page, team: Team) -> None:
    editor = EditorPage(page).open(team, "new")
    page.locator("#heading-slug").fill("idea")
    editor.write(1, "About {{ topic }}")
    editor.variable("topic").fill("tea")
    expect(editor.preview).to_contain_text("About tea")
    editor.settled()
    page.reload()

    expect(page.locator("#heading-slug")).to_have_value("idea")
    expect(editor.text(1)).to_have_text("About {{ topic }}")
    expect(editor.preview).to_contain_text("About tea")
    editor.save()
    page.wait_for_url("**/prompts/idea/")
    expect(editor.preview).to_contain_text("About tea")


def test_a_lost_session_keeps_the_text_until_one_has_signed_in_again(page: Page, team: Team, web: WebServer) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.context.clear_cookies(name="sessionid")
    editor.write(2, "Written while signed out")
    expect(editor.status).to_contain_text("Signed out")
    expect(page.locator("#preview")).to_contain_text("You are signed out")
    expect(editor.status.get_by_role("link", name="Sign in again")).to_have_attribute("target", "_blank")
    assert not Draft.objects.exists()
    sign_in(page.context, team.editor, web)
    come_back(page)

    editor.settled()
    assert stored_text() == "Written while signed out"


def test_a_lost_session_keeps_the_text_when_the_page_is_left(page: Page, team: Team, web: WebServer) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.context.clear_cookies(name="sessionid")
    editor.write(2, "Written while signed out")
    expect(editor.status).to_contain_text("Signed out")
    page.goto("/")
    sign_in(page.context, team.editor, web)
    editor.open(team)

    expect(editor.text(2)).to_have_text("Written while signed out")
    expect(editor.toast("brought back from this browser")).to_be_visible()
    editor.settled()
    assert stored_text() == "Written while signed out"


def test_saving_while_signed_out_keeps_the_text_and_says_so(page: Page, team: Team, web: WebServer) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.context.clear_cookies(name="sessionid")
    editor.write(2, "Not lost")
    editor.save("message")
    expect(editor.toast("could not be saved")).to_be_visible()
    expect(page.locator("#save-message")).to_have_value("message")
    sign_in(page.context, team.editor, web)
    page.keyboard.press("Control+Enter")

    expect(editor.toast("Version 2 is saved")).to_be_visible()


def test_a_lost_connection_keeps_the_text_and_sends_it_later(browse: Browse, team: Team) -> None:
    team.prompt()
    page = browse(team.editor, watched=False)
    editor = EditorPage(page).open(team)
    page.context.set_offline(True)
    editor.write(2, "Written in a tunnel")
    expect(editor.status).to_contain_text("Offline")
    expect(page.locator("#preview")).to_contain_text("cannot be reached")
    expect(page.locator(".toast-note")).to_have_count(0)
    page.context.set_offline(False)

    editor.settled()
    assert stored_text() == "Written in a tunnel"


def test_two_windows_never_overwrite_each_other(page: Page, browse: Browse, team: Team) -> None:
    team.prompt()
    here = EditorPage(page).open(team)
    there = EditorPage(browse(context=page.context)).open(team)
    here.write(2, "From here")
    here.settled()
    there.write(2, "From there")

    panel = there.page.get_by_role("alertdialog")
    expect(panel).to_contain_text("From here")
    expect(panel).to_contain_text("From there")
    assert stored_text() == "From here"
    panel.get_by_role("button", name="Keep mine").click()
    there.settled()
    assert stored_text() == "From there"

    here.write(2, "From here again")
    panel = here.page.get_by_role("alertdialog")
    expect(panel).to_contain_text("From there")
    assert stored_text() == "From there"
    panel.get_by_role("button", name="Take what is stored").click()
    expect(here.text(2)).to_have_text("From there")
    expect(panel).to_have_count(0)


def test_a_version_is_not_saved_over_what_another_window_wrote(page: Page, browse: Browse, team: Team) -> None:
    team.prompt()
    here = EditorPage(page).open(team)
    there = EditorPage(browse(context=page.context)).open(team)
    here.write(2, "From here")
    here.settled()
    there.write(2, "From there")
    there.save("Mine")

    expect(there.page.get_by_role("alertdialog")).to_contain_text("From here")
    assert stored_text() == "From here"
    assert team.project.prompts.get().last_number == 1


def test_a_draft_that_was_saved_as_a_version_elsewhere_is_told(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.write(2, "One")
    editor.settled()
    draft = Draft.objects.get()
    commit_draft(team.actor("editor"), draft, revision=draft.revision)
    editor.write(2, "Two")

    panel = page.get_by_role("alertdialog")
    expect(panel).to_contain_text("saved as a version or discarded meanwhile")
    panel.get_by_role("button", name="Keep mine").click()
    editor.settled()
    assert stored_text() == "Two"


def test_a_discarded_draft_comes_back(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.write(2, "Something")
    editor.settled()
    editor.write(2, "Precious")  # not stored yet when it is discarded
    page.get_by_role("button", name="Discard draft").click()
    expect(editor.text(2)).to_have_text("Greet {{ name }} in one sentence.")
    assert not Draft.objects.exists()
    page.get_by_role("button", name="Bring it back").click()

    expect(editor.text(2)).to_have_text("Precious")
    expect(editor.toast("Your draft is back")).to_be_visible()
    assert stored_text() == "Precious"
