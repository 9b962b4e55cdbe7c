"""Including other prompts in the browser: completed while typed, previewed, marked at its line, seen before a move."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from promptops.prompts.models import PromptDependency, PromptVersion
from promptops.prompts.services import create_prompt, create_version, move_label
from tests.browser.editor import EditorPage
from tests.people import Team

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def snippet(content: str) -> dict[str, Any]:
    return {"kind": "text", "syntax": "jinja", "messages": [{"content": content}]}


@pytest.fixture
def salutation(team: Team) -> PromptVersion:
    """A text that can be included, and a chat prompt whose messages can be."""
    actor = team.actor("editor")
    first = create_prompt(actor, team.project, snippet("Dear {{ name }},"), slug="salutation")
    move_label(actor, first.prompt, "production", first)
    rules = {"kind": "chat", "syntax": "jinja", "messages": [{"role": "system", "content": "Be kind."}]}
    create_prompt(actor, team.project, rules, slug="rules")
    team.prompt()
    return first


def test_a_text_is_included_by_typing_its_name_and_others_messages_by_choosing_them(
    page: Page, team: Team, salutation: PromptVersion
) -> None:
    editor = EditorPage(page).open(team)
    editor.write(2, "")
    page.keyboard.type('{% include "sal')
    page.locator(".cm-tooltip-autocomplete").get_by_text("salutation@production").click()
    page.keyboard.type('" %} welcome.')
    expect(editor.text(2).locator(".cm-include")).to_have_text('{% include "salutation@production" %}')
    expect(editor.preview).to_contain_text("Dear ‹name›, welcome.")
    link = page.locator("#preview").get_by_role("link", name="salutation@production")
    expect(link).to_have_attribute("href", f"/p/{team.project.slug}/prompts/salutation/versions/1/")

    page.get_by_role("button", name="Messages of another prompt").click()
    page.keyboard.type("rules@1")
    expect(editor.preview).to_contain_text("Be kind.")
    editor.save("Composed")
    expect(editor.toast("Version 2 is saved")).to_be_visible()
    rows = PromptDependency.objects.order_by("order").values_list("included__slug", "label")
    assert list(rows) == [("salutation", "production"), ("rules", "")]


def test_a_name_that_leads_nowhere_is_marked_at_its_line(page: Page, team: Team, salutation: PromptVersion) -> None:
    editor = EditorPage(page).open(team)
    editor.write(2, 'Hello\n{% include "salutation@canary" %}')
    expect(editor.text(2).locator(".cm-problem-line")).to_have_text('{% include "salutation@canary" %}')
    expect(page.locator(".message-problem")).to_contain_text("has the label “canary”")


def test_who_moves_a_label_sees_which_prompts_follow(page: Page, team: Team, salutation: PromptVersion) -> None:
    actor = team.actor("editor")
    content = {"role": "user", "content": '{% include "salutation@production" %}'}
    reply = create_prompt(actor, team.project, {"kind": "chat", "syntax": "jinja", "messages": [content]}, slug="reply")
    move_label(actor, reply.prompt, "production", reply)
    create_version(actor, salutation.prompt, snippet("Hello {{ name }},"))

    page.goto(f"/p/{team.project.slug}/prompts/salutation/versions/2/")
    expect(page.get_by_role("region", name="Used by")).to_contain_text("reply")
    page.get_by_role("link", name="Move label").click()
    page.get_by_role("radio", name="production").check()
    expect(page.locator("#move-standing")).to_contain_text("includes this prompt by “production”")
    expect(page.locator("#move-standing").get_by_role("link", name="reply")).to_be_visible()
