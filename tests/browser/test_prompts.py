"""The pages of prompts in a browser: searching while typing, keys, comparing, and releasing by dialog."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from promptops.prompts.models import Label, Prompt
from promptops.prompts.selectors import get_version
from promptops.prompts.services import move_label
from tests.browser.conftest import Browse
from tests.people import Team
from tests.prompts.pages import page as path_of
from tests.prompts.pages import said, save, versions

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LIST = "/p/team/prompts/"


@pytest.fixture
def prompt(team: Team) -> Prompt:
    """Three versions; `production` stands at 1."""
    made = versions(team, 2)
    made.append(save(team, made[0].prompt, messages=said("Greet {{ name }} from {{ city }}.")))
    move_label(team.actor("editor"), made[0].prompt, "production", made[0], reason="first release")
    return made[0].prompt


def test_the_list_follows_while_one_types_and_the_address_keeps_it(page: Page, team: Team, prompt: Prompt) -> None:
    team.prompt("summary", folder="support", messages=said("请写一份简短的客户对话摘要"))
    team.prompt("sales-mail", folder="sales/mail")
    page.goto(LIST)
    page.keyboard.press("/")
    page.keyboard.type("摘要")
    expect(page.locator(".row-link")).to_have_text(["summary"])
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?q=%E6%91%98%E8%A6%81$"))

    page.get_by_role("searchbox").fill("")
    expect(page.locator(".row-link")).to_have_count(3)
    page.get_by_role("link", name="sales 1").click()
    expect(page.locator(".row-link")).to_have_text(["sales-mail"])
    expect(page.get_by_role("link", name="mail 1")).to_be_visible()
    page.get_by_role("searchbox").fill("zzz")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    expect(page).to_have_url(re.compile("folder=sales"))
    page.reload()
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_have_value("zzz")


def test_rows_are_walked_by_keys_and_columns_sorted(page: Page, team: Team) -> None:
    for slug in ("alpha", "bravo"):
        team.prompt(slug)
    page.goto(LIST)
    page.get_by_role("link", name="Prompt", exact=True).click()
    expect(page.locator(".row-link")).to_have_text(["alpha", "bravo"])
    expect(page).to_have_url(re.compile("sort=slug"))
    page.go_back()
    expect(page.locator(".row-link")).to_have_text(["bravo", "alpha"])  # the one changed last is first
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(".row-link").nth(1)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/prompts/bravo/$"))


def test_any_two_versions_are_compared(page: Page, prompt: Prompt) -> None:
    page.goto(path_of("versions", prompt))
    page.get_by_label("Compare from version 1").check()
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile(r"diff/\?(?=.*from=1)(?=.*to=3)"))
    expect(page.get_by_text("“city” must be given now")).to_be_visible()
    assert page.locator(".diff-side").count() > 0
    page.keyboard.press("i")
    expect(page.locator(".diff-inline").first).to_be_visible()
    expect(page).to_have_url(re.compile("view=inline"))
    page.get_by_label("From version").select_option("2")
    expect(page).to_have_url(re.compile("(?=.*from=2)(?=.*to=3)(?=.*view=inline)"))
    expect(page.get_by_label("From version")).to_have_value("2")
    page.keyboard.press("x")
    expect(page.get_by_label("From version")).to_have_value("3")
    page.go_back()
    expect(page.get_by_label("From version")).to_have_value("2")


def test_a_label_is_released_and_rolled_back(page: Page, team: Team, prompt: Prompt) -> None:
    page.goto(path_of("labels", prompt))
    page.keyboard.press("m")
    dialog = page.get_by_role("dialog", name="Move a label")
    dialog.get_by_label("production").check()
    expect(dialog.get_by_text("“production” goes from version 1 to 3")).to_be_visible()
    expect(dialog.get_by_text("“city” must be given now")).to_be_visible()
    dialog.get_by_label("To version").select_option("2")
    expect(dialog.get_by_text("goes from version 1 to 2")).to_be_visible()
    dialog.get_by_label("Reason").fill("tried for a week")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("“production” stands at version 2 now.")).to_be_visible()
    expect(page.get_by_role("row", name="production")).to_contain_text("tried for a week")

    page.get_by_role("button", name="Roll back to v1").click()
    expect(page.get_by_text("“production” is back at version 1.")).to_be_visible()
    assert get_version(prompt).number == 1


def test_a_new_label_is_written_and_a_mistake_keeps_the_dialog(page: Page, prompt: Prompt) -> None:
    page.goto(path_of("labels", prompt))
    page.get_by_role("link", name="Move a label…").click()
    dialog = page.get_by_role("dialog", name="Move a label")
    dialog.get_by_label("another").check()
    name = dialog.get_by_label("Name of the label")
    name.fill("Not A Label")
    dialog.get_by_label("Reason").fill("kept")
    dialog.get_by_role("button", name="Move").click()
    expect(dialog.get_by_text("Use lower-case letters")).to_be_visible()
    expect(dialog.get_by_label("Reason")).to_have_value("kept")
    name.fill("canary")
    expect(dialog.get_by_text("“canary” stands nowhere yet")).to_be_visible()
    dialog.get_by_role("button", name="Move").click()
    expect(page.get_by_role("row", name="canary")).to_contain_text("Version 3")


def test_a_mover_is_shown_what_somebody_else_moved_meanwhile(page: Page, team: Team, prompt: Prompt) -> None:
    page.goto(path_of("versions", prompt))
    page.get_by_label("Move a label to version 3…").click()
    dialog = page.get_by_role("dialog", name="Move a label")
    dialog.get_by_label("production").check()
    expect(dialog.get_by_text("from version 1 to 3")).to_be_visible()
    move_label(team.actor("reviewer"), prompt, "production", get_version(prompt, number=2))
    dialog.get_by_role("button", name="Move").click()
    expect(dialog.get_by_text("somebody moved it meanwhile")).to_be_visible()
    expect(dialog.get_by_text("from version 2 to 3")).to_be_visible()
    dialog.get_by_role("button", name="Move it all the same").click()
    expect(page.get_by_text("stands at version 3 now")).to_be_visible()


def test_taking_a_label_off_asks_and_escape_means_no(page: Page, prompt: Prompt) -> None:
    page.goto(path_of("labels", prompt))
    page.get_by_role("button", name="Take “production” off").click()
    expect(page.get_by_role("dialog", name="Take “production” off?")).to_be_visible()
    page.keyboard.press("Escape")
    assert Label.objects.get().version_id is not None
    page.get_by_role("button", name="Take “production” off").click()
    page.get_by_role("button", name="Take it off").click()
    expect(page.get_by_text("taken off", exact=True)).to_be_visible()
    assert Label.objects.get().version_id is None


def test_what_served_then_is_asked_on_a_phone(browse: Browse, team: Team, prompt: Prompt) -> None:
    page = browse(team.viewer, width=390, height=844)
    page.goto(path_of("label-history", prompt, "production"))
    page.get_by_label("What served at").fill("2020-01-01T12:00:00")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_text("did not exist then")).to_be_visible()
    page.get_by_label("What served at").fill("2999-01-01T12:00:00")
    page.get_by_role("button", name="Look").click()
    expect(page.get_by_role("status")).to_contain_text("Version 1 served")


def test_a_prompt_is_renamed_archived_and_brought_back(page: Page, prompt: Prompt) -> None:
    page.goto(path_of("settings", prompt))
    page.get_by_label("Slug", exact=True).fill("Not A Slug")
    page.keyboard.press("Control+s")
    expect(page.get_by_text("Use lower-case letters")).to_be_visible()
    page.get_by_label("Slug", exact=True).fill("welcome")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(re.compile("/prompts/welcome/settings/"))
    page.get_by_role("button", name="Archive this prompt").click()
    page.get_by_role("dialog", name="Archive “welcome”?").get_by_role("button", name="Archive").click()
    expect(page.get_by_role("complementary", name="This prompt is archived")).to_be_visible()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("is back, and served again")).to_be_visible()


def test_the_palette_goes_to_a_prompt(page: Page, prompt: Prompt) -> None:
    page.goto("/p/team/prompts/")
    page.keyboard.press("Control+k")
    page.keyboard.type("greet")
    expect(page.get_by_role("option", name="greeting")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.get_by_role("option", name="greeting").click()
    expect(page).to_have_url(re.compile("/prompts/greeting/$"))
