"""Writing prompts in the browser: by keyboard, previewed, saved, on a phone, and under the content security policy."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from promptops.prompts.models import Draft, Prompt, PromptVersion
from promptops.prompts.services import create_version
from tests.browser.conftest import Browse
from tests.browser.editor import EditorPage
from tests.people import GREETING, Team
from tests.runs.pages import scripted_endpoint

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def press_until(page: Page, key: str, selector: str, *, at_most: int = 30) -> None:
    """Press a key until what has the focus fits."""
    for _ in range(at_most):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press(key)
    raise AssertionError(f"{key} never led to {selector}")


def draft_content() -> dict[str, Any]:
    content: dict[str, Any] = Draft.objects.get().content
    return content


def test_a_prompt_is_written_from_nothing_by_keyboard(page: Page, team: Team) -> None:
    editor = EditorPage(page).open(team, "new")
    expect(page.locator("#heading-slug")).to_be_focused()
    page.keyboard.type("summary")
    page.keyboard.press("Tab")
    page.keyboard.type("mail/in")
    press_until(page, "Tab", ".cm-content")
    page.keyboard.type("You sum up {{ kind ")
    page.keyboard.type("}}.")
    press_until(page, "Tab", "[data-part=add-message]")
    page.keyboard.press("Enter")
    page.keyboard.type("{{ text }}")
    expect(editor.variable("text")).to_be_visible()
    expect(editor.preview).to_contain_text("You sum up ‹kind›.")
    editor.settled()
    assert "?draft=" in page.url
    editor.save("First try")

    page.wait_for_url(f"**/p/{team.project.slug}/prompts/summary/")
    expect(editor.toast("is saved as version 1")).to_be_visible()
    version = PromptVersion.objects.select_related("prompt", "spec").get()
    assert (version.prompt.slug, version.prompt.folder, version.message) == ("summary", "mail/in", "First try")
    assert version.content["messages"] == [
        {"role": "system", "content": "You sum up {{ kind }}."},
        {"role": "user", "content": "{{ text }}"},
    ]
    assert not Draft.objects.exists()


def test_a_refused_new_prompt_is_marked_at_its_field_and_keeps_what_was_typed(page: Page, team: Team) -> None:
    editor = EditorPage(page).open(team, "new")
    page.locator("#heading-slug").fill("Not A Slug")
    editor.write(1, "Hello")
    editor.save()

    field = page.locator("#heading-slug")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#editor-notice [role=alert]")).to_be_focused()
    expect(page.locator("#save-dialog")).to_be_hidden()
    page.locator("#editor-notice").get_by_role("button", name="slug").click()
    expect(field).to_be_focused()
    field.fill("a-slug")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(editor.text(1)).to_have_text("Hello")
    editor.save()
    page.wait_for_url("**/prompts/a-slug/")
    assert Prompt.objects.get().slug == "a-slug"


def test_a_mistake_is_shown_at_its_line_and_goes_when_it_is_corrected(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.write(2, "one\ntwo {{ name + }}\nthree")

    message = page.locator(".message-item").nth(1)
    expect(message.locator(".message-problem")).to_contain_text("Line 2")
    expect(message.locator(".cm-problem-line")).to_have_text("two {{ name + }}")
    expect(editor.preview).to_contain_text("Greet ‹name›")  # the last good one stays
    editor.text(1).click()
    page.locator("#preview").get_by_role("button", name="Message 2, line 2").click()
    expect(editor.text(2)).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.insert_text("two {{ name }}")
    expect(message.locator(".message-problem")).to_have_count(0)
    expect(message.locator(".cm-problem-line")).to_have_count(0)
    expect(editor.preview).to_contain_text("two ‹name›")


def test_ctrl_s_saves_a_version_and_the_page_goes_on(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.write(2, "Hello {{ name }}")
    page.keyboard.press("Control+s")
    changes = page.locator("#save-changes")
    expect(changes).to_contain_text("Changes since version 1")
    expect(changes.locator("ins").first).to_be_visible()
    page.keyboard.press("Escape")
    editor.save("Shorter")

    expect(editor.toast("Version 2 is saved")).to_be_visible()
    expect(page.locator("#editor-base")).to_contain_text("v2")
    expect(page.locator("[data-version-count]")).to_have_text("2")
    expect(editor.text(2)).to_be_focused()  # one goes on writing where one was
    links = editor.toast("Version 2 is saved").get_by_role("link")
    expect(links).to_have_text(["Compare with version 1", "Put production on it", "Propose it for production"])
    version = PromptVersion.objects.get(number=2)
    assert version.message == "Shorter"
    assert version.content["messages"][1]["content"] == "Hello {{ name }}"
    assert not Draft.objects.exists()

    page.keyboard.press("Control+End")
    page.keyboard.insert_text("!")
    editor.save("Louder")
    expect(editor.toast("Version 3 is saved")).to_be_visible()
    assert PromptVersion.objects.get(number=3).content["messages"][1]["content"] == "Hello {{ name }}!"


def test_saving_what_did_not_change_says_so(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.keyboard.press("Control+s")
    expect(page.locator("#save-changes")).to_contain_text("Nothing has changed since version 1.")
    page.keyboard.press("Control+s")

    expect(editor.toast("Nothing has changed since version 1")).to_be_visible()
    expect(page.locator("#save-dialog")).to_be_hidden()
    assert PromptVersion.objects.count() == 1


def test_a_version_saved_meanwhile_is_shown_and_saved_on_top_of(page: Page, team: Team) -> None:
    prompt = team.prompt().prompt
    editor = EditorPage(page).open(team)
    editor.write(2, "Mine")
    theirs = {**GREETING, "messages": [{"role": "user", "content": "Theirs"}]}
    create_version(team.actor("admin"), prompt, theirs, message="Faster")
    editor.save("On top")

    notice = page.locator("#editor-notice")
    expect(notice).to_contain_text("Version 2 was saved meanwhile by Admin")
    expect(editor.text(2)).to_have_text("Mine")
    expect(notice.get_by_role("link", name="What changed from 1 to 2")).to_be_visible()
    notice.get_by_role("button", name="Save on top of version 2").click()
    expect(editor.toast("Version 3 is saved")).to_be_visible()
    expect(notice).to_be_empty()
    version = PromptVersion.objects.get(number=3)
    assert version.content["messages"][1]["content"] == "Mine"
    assert version.message == "On top"


def test_a_removed_message_comes_back(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.get_by_role("button", name="Remove message 1").click()
    expect(page.locator(".message-item")).to_have_count(1)
    editor.toast("Message removed").get_by_role("button", name="Undo").click()

    expect(editor.text(1)).to_have_text("You are polite.")


def test_messages_are_moved_by_keyboard(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.text(2).click()
    page.keyboard.press("Alt+ArrowUp")

    expect(editor.text(1)).to_have_text("Greet {{ name }} in one sentence.")
    expect(editor.text(1)).to_be_focused()
    editor.settled()
    assert [message["role"] for message in draft_content()["messages"]] == ["user", "system"]


def test_a_placeholder_takes_the_conversation_so_far(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.get_by_role("button", name="Placeholder for the history").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("talk")
    row = editor.variable_row("talk")
    expect(row.get_by_label("Type of talk")).to_have_value("messages")
    row.locator("textarea").fill('[{"role": "assistant", "content": "Hello from before"}]')

    expect(editor.preview.locator(".bubble.assistant")).to_contain_text("Hello from before")
    editor.settled()
    assert draft_content()["messages"][2] == {"type": "placeholder", "name": "talk"}


def test_a_variable_has_a_type_and_its_value_is_checked(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    editor.write(2, "{% for one in wanted %}- {{ one }}\n{% endfor %}{% if loud %}!{% endif %}")
    wanted = editor.variable_row("wanted")
    expect(wanted.get_by_label("Type of wanted")).to_have_value("array")
    expect(editor.variable_row("one")).to_have_count(0)  # a loop's own name is no variable
    wanted.locator("textarea").fill('["tea", ')
    expect(wanted.locator(".field-error")).to_contain_text("not valid JSON")
    wanted.locator("textarea").fill('["tea", "milk"]')
    expect(wanted.locator(".field-error")).to_be_hidden()
    loud = editor.variable_row("loud")
    expect(loud.get_by_label("Type of loud")).to_have_value("boolean")
    loud.get_by_label(re.compile("Value of loud")).select_option("true")
    expect(editor.preview).to_contain_text("- milk")
    expect(editor.preview).to_contain_text("!")

    wanted.get_by_label("Settings of wanted").click()
    wanted.get_by_label("Description").fill("What to buy")
    page.get_by_role("button", name="Declare all").click()
    expect(page.get_by_role("button", name="Declare all")).to_be_hidden()
    expect(editor.variable_row("name")).to_have_count(0)
    editor.settled()
    expect(editor.status).to_contain_text("Saved")
    declared = draft_content()["variables"]
    assert declared["wanted"] == {"type": "array", "description": "What to buy"}
    assert declared["loud"] == {"type": "boolean"}


def test_the_syntax_is_changed_with_the_texts_and_back(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.get_by_label("Template syntax").select_option("fstring")
    expect(editor.text(2)).to_have_text("Greet {name} in one sentence.")
    expect(editor.preview).to_contain_text("Greet ‹name›")
    editor.toast("rewritten").get_by_role("button", name="Undo").click()
    expect(editor.text(2)).to_have_text("Greet {{ name }} in one sentence.")
    expect(page.get_by_label("Template syntax")).to_have_value("jinja")

    editor.write(2, "{% if name %}{{ name }}{% endif %}")
    page.get_by_label("Template syntax").select_option("mustache")
    dialog = page.locator("#confirm-dialog")
    expect(dialog).to_contain_text("{% if name %}")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Template syntax")).to_have_value("jinja")


def test_a_text_prompt_has_one_text_without_a_role(page: Page, team: Team) -> None:
    editor = EditorPage(page).open(team, "new")
    page.locator("#heading-slug").fill("one-text")
    editor.write(1, "Sum up:")
    page.get_by_role("button", name="Message", exact=True).click()
    page.keyboard.insert_text("{{ text }}")
    page.get_by_label("Kind").select_option("text")
    page.locator("#confirm-dialog").get_by_role("button", name="Go on").click()
    expect(page.locator(".message-item")).to_have_count(1)
    expect(page.get_by_role("button", name="Message", exact=True)).to_be_hidden()
    editor.save()

    page.wait_for_url("**/prompts/one-text/")
    assert PromptVersion.objects.get().content["messages"] == [{"content": "Sum up:\n\n{{ text }}"}]


def test_ctrl_enter_runs_what_stands_there_and_shows_the_output(page: Page, team: Team) -> None:
    team.prompt()
    scripted_endpoint(team)
    editor = EditorPage(page).open(team)
    page.get_by_label("Model endpoint").select_option("scripted")
    editor.variable("name").fill("Ada")
    editor.text(2).click()
    page.keyboard.press("Control+Enter")

    expect(page.get_by_role("tab", name="Output")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#run-area [data-run]")).to_be_visible()
    page.reload()
    expect(page.locator("#run-area [data-run]")).to_be_visible()  # it is found again
    expect(page.get_by_label("Model endpoint")).to_have_value("scripted")


def test_shortcuts_are_listed(page: Page, team: Team) -> None:
    team.prompt()
    EditorPage(page).open(team)
    page.locator("h1").click()
    page.keyboard.press("?")

    listed = page.locator("#shortcuts-dialog")
    expect(listed).to_contain_text("Save version")
    expect(listed).to_contain_text("Run the prompt as it stands")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_on_a_phone(browse: Browse, team: Team, theme: str) -> None:
    long = "{{ a_rather_long_name_of_a_variable }} " * 5
    variables = {"order": {"type": "object", "example": {"number": "A-1" * 30}}}
    team.prompt(
        messages=[{"role": "system", "content": long}, {"role": "user", "content": "{{ order }}"}], variables=variables
    )
    page = browse(team.editor, width=390, height=844, theme=theme)
    editor = EditorPage(page).open(team)

    expect(editor.preview).to_contain_text("‹a_rather_long_name_of_a_variable›")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in ("Save version", "Run"):
        box = page.get_by_role("button", name=button).first.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    messages, side = page.locator(".editor-main").bounding_box(), page.locator(".editor-side").bounding_box()
    assert messages is not None
    assert side is not None
    assert side["y"] >= messages["y"] + messages["height"]


def test_every_style_comes_from_us(browse: Browse, team: Team) -> None:
    """CodeMirror works under the policy; and the policy is in force, or the first half would mean nothing."""
    team.prompt()
    page = browse(team.editor)
    editor = EditorPage(page).open(team)
    editor.write(1, "{{ name }} " * 3)
    page.keyboard.type("{{ na")
    page.locator(".cm-tooltip-autocomplete").get_by_text("name").click()
    expect(editor.text(1)).to_have_text(re.compile(r"\{\{ name \}\}$"))

    strict = browse(team.editor, watched=False)
    refused: list[str] = []
    strict.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    EditorPage(strict).open(team)
    strict.evaluate(
        "document.body.setAttribute('style', 'color: red'); document.body.innerHTML += '<p style=\"color: red\">'"
    )
    strict.wait_for_function("() => true")
    assert any("Content Security Policy" in text for text in refused)


def test_pictures_in_a_message_are_kept(page: Page, team: Team) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    team.prompt(messages=[{"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}])
    editor = EditorPage(page).open(team)
    editor.write(1, "What is {{ this }}?")
    editor.save()

    expect(editor.toast("Version 2 is saved")).to_be_visible()
    content = PromptVersion.objects.get(number=2).content["messages"][0]["content"]
    assert content == [{"type": "text", "text": "What is {{ this }}?"}, picture]


def test_a_schema_is_checked_as_it_is_typed(page: Page, team: Team) -> None:
    team.prompt()
    editor = EditorPage(page).open(team)
    page.locator("summary", has_text="Output schema").click()
    field = page.locator(".code-field .cm-content[aria-label='JSON Schema of the answer']")
    field.click()
    page.keyboard.insert_text('{"type": "object",\n"properties": }')
    expect(page.locator(".code-field.has-error ~ .field-error").last).to_contain_text("line 2")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(json.dumps({"type": "object"}))
    editor.settled()

    assert draft_content()["output_schema"] == {"type": "object"}
