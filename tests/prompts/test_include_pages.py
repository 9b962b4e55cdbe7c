"""The pages of prompts that include others, and of those that are included: panels, previews, differences, REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from promptops.prompts.models import Prompt
from promptops.prompts.services import archive_prompt, create_prompt, create_version, move_label
from tests.api.client import make_caller, problem
from tests.html import HTMX, Page, signed_in
from tests.people import Team
from tests.prompts.editing import form, preview, url

INCLUDE = '{% include "salutation@production" %}'


def snippet(content: str, syntax: str = "jinja") -> dict[str, Any]:
    return {"kind": "text", "syntax": syntax, "messages": [{"content": content}]}


def chat(*contents: str) -> dict[str, Any]:
    return {"kind": "chat", "syntax": "jinja", "messages": [{"role": "user", "content": one} for one in contents]}


@pytest.fixture
def salutation(team: Team) -> Prompt:
    """`reply`, live, includes it by production and by its number."""
    actor = team.actor("editor")
    first = create_prompt(actor, team.project, snippet("Dear {{ name }},"), slug="salutation")
    move_label(actor, first.prompt, "production", first)
    reply = create_prompt(actor, team.project, chat(f"{INCLUDE} thanks.", "{{ question }}"), slug="reply")
    move_label(actor, reply.prompt, "production", reply)
    return first.prompt


def page(team: Team, name: str, *args: Any, role: str = "editor", query: str = "") -> Page:
    where = reverse(f"prompts:{name}", args=[team.project.slug, *args])
    return Page(signed_in(getattr(team, role)).get(f"{where}{query}"))


def test_the_pages_of_an_included_prompt_say_what_uses_it(team: Team, salutation: Prompt) -> None:
    for shown in (
        page(team, "version-detail", "salutation", 1),
        page(team, "detail", "salutation", role="viewer"),
        page(team, "settings", "salutation"),
    ):
        assert "Used by" in shown.text
        assert shown.link("reply") == reverse("prompts:version-detail", args=[team.project.slug, "reply", 1])
        assert "salutation@production" in shown.text
    assert "Used by" not in page(team, "version-detail", "reply", 1).text


def test_a_version_page_shows_what_it_includes_and_all_the_variables(team: Team, salutation: Prompt) -> None:
    shown = page(team, "version-detail", "reply", 1)
    assert "Includes salutation@production" in shown.text
    assert "name string required" in shown.text
    assert "question string required" in shown.text
    assert shown.link("{% include") == reverse("prompts:labels", args=[team.project.slug, "salutation"])


def test_who_moves_a_label_sees_what_follows_it(team: Team, salutation: Prompt) -> None:
    create_version(team.actor("editor"), salutation, snippet("Hello {{ name }},"))
    shown = page(team, "label-move", "salutation", query="?label=production&version=2")
    assert "1 prompt version includes this prompt by “production”" in shown.text
    assert "includes this prompt" not in page(team, "label-move", "salutation", query="?label=staging").text


def test_a_move_that_breaks_what_is_live_is_told_in_the_form_and_asks_for_no_second_try(
    team: Team, salutation: Prompt
) -> None:
    create_version(team.actor("editor"), salutation, snippet("Hello", "mustache"))
    where = url(team, "label-move", "salutation")
    fields = {"label": "production", "version": 2, "expected": 1}
    answer = signed_in(team.editor).post(where, fields, headers=HTMX)
    assert answer.status_code == 409
    shown = answer.content.decode()
    assert "would break “reply@production”" in shown
    assert "Move it all the same" not in shown


def test_an_archiving_that_breaks_what_is_live_is_told(team: Team, salutation: Prompt) -> None:
    browser = signed_in(team.editor)
    answer = browser.post(url(team, "archive", "salutation"), follow=True)
    assert "would break “reply@production”" in answer.content.decode()
    salutation.refresh_from_db()
    assert salutation.archived_at is None


def test_who_saves_sees_what_includes_the_prompt(team: Team, salutation: Prompt) -> None:
    fields = form(kind="text", messages=[{"content": "Hi {{ name }},"}])
    answer = signed_in(team.editor).post(url(team, "changes", "salutation"), fields, headers=HTMX)
    assert "1 prompt version includes this prompt" in answer.content.decode()


def test_the_preview_shows_the_included_text(team: Team, salutation: Prompt) -> None:
    fields = form(f"{INCLUDE} you are {{{{ mood }}}}.", values={"name": "Ada", "mood": "late"})
    shown = preview(signed_in(team.editor), team, fields, "reply")
    assert "Dear Ada, you are late." in shown.text


def test_a_mistake_of_an_include_is_shown_at_its_line(team: Team, salutation: Prompt) -> None:
    browser = signed_in(team.editor)
    for source, says in (
        ('one\n{% include "nobody@production" %}', "no prompt “nobody”"),
        ('one\n{% include "salutation@staging" %}', "has the label “staging”"),
        ('one\n{% include "salutation" %}', "names no prompt"),
        ('one\n{% include "reply@1" %}', "is a chat prompt"),
    ):
        shown = preview(browser, team, form(source), "reply")
        found = shown.one("li", **{"data-problem": ""})
        assert says in found.attributes["data-text"]
        assert (found.attributes["data-message-index"], found.attributes["data-line"]) == ("0", "2")


def test_a_refused_save_says_so_at_the_line_of_the_include(team: Team, salutation: Prompt) -> None:
    fields = form('one\n{% include "nobody@1" %}')
    answer = signed_in(team.editor).post(url(team, "save", "reply"), fields, headers=HTMX)
    assert answer.status_code == 422
    assert 'data-line="2"' in answer.content.decode()


def test_the_difference_of_two_versions_judges_the_callers_contract_by_the_whole(
    team: Team, salutation: Prompt
) -> None:
    reply = Prompt.objects.get(slug="reply")
    # The name was asked for by the include; now by the text itself: nothing breaks. Another one is new.
    create_version(team.actor("editor"), reply, chat("Dear {{ name }}, thanks.", "{{ question }} {{ more }}"))
    shown = page(team, "diff", "reply", query="?from=1&to=2")
    assert "“more” must be given now" in shown.text
    assert "“name” must be given now" not in shown.text


def test_a_changed_use_message_is_seen_in_the_difference(team: Team, salutation: Prompt) -> None:
    rules = create_prompt(team.actor("editor"), team.project, chat("Be kind.", "Ask back."), slug="rules").prompt
    create_version(team.actor("editor"), rules, chat("Be brief."))
    reply = Prompt.objects.get(slug="reply")
    use = {"type": "use", "prompt": "rules@1"}
    create_version(team.actor("editor"), reply, {**chat("Hi"), "messages": [use, *chat("Hi")["messages"]]})
    create_version(
        team.actor("editor"), reply, {**chat("Hi"), "messages": [use | {"prompt": "rules@2"}, *chat("Hi")["messages"]]}
    )
    shown = page(team, "diff", "reply", query="?from=2&to=3")
    assert "rules@" in shown.text
    version = page(team, "version-detail", "reply", 3)
    assert version.all("a", href=reverse("prompts:version-detail", args=[team.project.slug, "rules", 2]))


def test_the_editor_offers_what_can_be_included(team: Team, salutation: Prompt) -> None:
    create_version(team.actor("editor"), salutation, snippet("Hello"))
    create_prompt(team.actor("editor"), team.project, snippet("x", "mustache"), slug="stache")
    archive_prompt(
        team.actor("editor"), create_prompt(team.actor("editor"), team.project, snippet("x"), slug="old").prompt
    )
    where = reverse("prompts:includable", args=[team.project.slug])
    browser = signed_in(team.viewer)

    offered = browser.get(f"{where}?kind=text&syntax=jinja").json()["items"]
    assert offered == [{"name": "salutation@production", "detail": "v1"}, {"name": "salutation@2", "detail": "v2"}]
    assert browser.get(f"{where}?kind=text&syntax=jinja&for=salutation").json()["items"] == []
    assert [one["name"] for one in browser.get(f"{where}?kind=chat&syntax=jinja").json()["items"]] == [
        "reply@production",
        "reply@1",
    ]


def test_rest_lists_dependents(team: Team, salutation: Prompt) -> None:
    caller = make_caller(team.project)
    assert caller.ok("GET", "/prompts/salutation/dependents") == [
        {
            "prompt": "reply",
            "version": 1,
            "labels": ["production"],
            "newest": True,
            "references": ["salutation@production"],
            "depth": 1,
            "runs_7_days": 0,
        }
    ]
    assert caller.ok("GET", "/prompts/salutation/dependents?label=staging") == []


def test_rest_resolves_with_and_without_the_included_texts_and_tells_a_change_by_the_etag(
    team: Team, salutation: Prompt
) -> None:
    caller = make_caller(team.project)
    first = caller.get("/prompts/reply/resolve")
    assert first.json()["messages"][0]["content"] == "Dear {{ name }}, thanks."
    raw = caller.get("/prompts/reply/resolve?includes=unresolved")
    assert raw.json()["messages"][0]["content"] == f"{INCLUDE} thanks."
    assert raw.json()["includes"] == first.json()["includes"]
    problem(caller.get("/prompts/reply/resolve?includes=some"), 422)

    assert caller.get("/prompts/reply/resolve", **{"If-None-Match": first["ETag"]}).status_code == 304

    second, _ = create_version(team.actor("editor"), salutation, snippet("Hello {{ name }},"))
    move_label(team.actor("editor"), salutation, "production", second)
    for query, old in (("", first), ("?includes=unresolved", raw)):
        again = caller.get(f"/prompts/reply/resolve{query}", **{"If-None-Match": old["ETag"]})
        assert again.status_code == 200
        assert again.json()["includes"][0]["version"] == 2


def test_rest_says_why_something_cannot_be_put_together(team: Team, salutation: Prompt) -> None:
    other = create_prompt(team.actor("editor"), team.project, snippet("x"), slug="other").prompt
    create_prompt(team.actor("editor"), team.project, chat('{% include "other@1" %}'), slug="unreleased")
    archive_prompt(team.actor("editor"), other)
    found = problem(make_caller(team.project).get("/prompts/unreleased/resolve?version=1"), 409, "include_broken")
    assert "“other” is archived" in found["detail"]
