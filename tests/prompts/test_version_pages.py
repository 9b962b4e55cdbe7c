"""The timeline of versions, one version, and editing from an old one."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from promptops.accounts.actors import token_actor
from promptops.accounts.models import ApiToken
from promptops.prompts.discarded import KEY
from promptops.prompts.models import Draft
from promptops.prompts.services import archive_prompt, create_version, move_label, open_draft, save_draft, update_prompt
from tests.html import Page, csv_rows, signed_in
from tests.people import GREETING, Team
from tests.prompts.pages import NASTY, page, said, save, versions

READ_PAGES = [
    ("versions", ()),
    ("versions-csv", ()),
    ("version-detail", (1,)),
    ("diff", ()),
    ("labels", ()),
    ("label-history", ("production",)),
    ("label-history-csv", ("production",)),
    ("settings", ()),
]
WRITE_PAGES = [
    ("edit-from", (1,)),
    ("label-rollback", ("production",)),
    ("label-remove", ("production",)),
    ("archive", ()),
    ("restore", ()),
]


def test_the_timeline_tells_who_saved_what_and_where_the_labels_stand(team: Team) -> None:
    first = team.prompt(message="begin", by="editor")
    second = save(team, first.prompt, by="reviewer", message="shorter", messages=said("two"))
    save(team, first.prompt, messages=said("three"))
    move_label(team.actor("editor"), first.prompt, "production", second)

    rows = Page(signed_in(team.viewer).get(page("versions", "greeting"))).one("tbody").all("tr")
    assert [row.one("a", class_="row-link").text for row in rows] == ["Version 3", "Version 2", "Version 1"]
    assert "production shorter" in rows[1].text
    assert "Reviewer" in rows[1].text
    assert "No message" in rows[0].text
    assert "is-live" in rows[1].one("th").attributes["class"]
    assert not rows[2].all(class_="is-live")


def test_the_two_newest_are_chosen_for_comparing_and_any_two_can_be(team: Team) -> None:
    versions(team, 3)
    shown = Page(signed_in(team.viewer).get(page("versions", "greeting")))
    assert (shown.values()["from"], shown.values()["to"]) == ("2", "3")
    form = shown.content.one("form")
    assert form.attributes["action"] == page("diff", "greeting")
    assert len(form.all("input", type="radio")) == 6
    only = Page(signed_in(team.viewer).get(page("versions", versions(team, 1, "lonely")[0].prompt)))
    assert "disabled" in only.content.one("button").attributes


def test_a_long_history_is_paged_and_costs_the_same_questions(team: Team) -> None:
    prompt = versions(team, 60)[0].prompt
    browser = signed_in(team.viewer)
    browser.get(page("versions", prompt))
    with CaptureQueriesContext(connection) as asked:
        shown = Page(browser.get(page("versions", prompt)))
    # Session, person, project, role, prompt; versions, labels.
    assert len(asked) == 9, [one["sql"][:100] for one in asked]
    assert not any('"content"' in one["sql"] for one in asked)
    following = shown.one("a", rel="next").attributes["href"]
    rest = Page(browser.get(page("versions", prompt) + following))
    assert rest.one("tbody").all("tr")[-1].one("a", class_="row-link").text == "Version 1"
    assert len(rest.one("tbody").all("tr")) == 10


def test_a_version_saved_by_a_token_says_so(team: Team) -> None:
    prompt = team.prompt().prompt
    team.token()
    create_version(token_actor(ApiToken.objects.get()), prompt, {**GREETING, "messages": said("by rest")})
    row = Page(signed_in(team.viewer).get(page("versions", prompt))).one("tbody").all("tr")[0]
    assert "test admin" in row.text
    assert "token" in row.text


def test_the_export_has_every_version_and_runs_no_formula(team: Team) -> None:
    first = team.prompt(message="=1+1")
    save(team, first.prompt, messages=said("two"), message="plain")
    move_label(team.actor("editor"), first.prompt, "production", first)
    header, second_row, first_row = csv_rows(signed_in(team.viewer).get(page("versions-csv", "greeting")))
    assert header == ["version", "parent", "labels", "message", "author", "saved_at", "sha256"]
    assert second_row[:5] == ["2", "1", "", "plain", "Editor"]
    assert first_row[:4] == ["1", "", "production", "'=1+1"]
    assert first_row[6] == first.content_sha256


def test_a_version_shows_all_that_it_says(team: Team) -> None:
    version = team.prompt(
        messages=[
            {"role": "system", "content": "{# for us #}{% if vip %}Be warm.{% endif %} You speak for {{ shop }}."},
            {"type": "placeholder", "name": "history"},
            {"role": "user", "content": [{"type": "text", "text": "{{ question }}"}]},
        ],
        variables={
            "question": {
                "type": "string",
                "description": "What was asked",
                "example": "Why?",
                "max_length": 500,
                "untrusted": True,
            },
            "shop": {"type": "string", "default": "Paper & Pen"},
            "unused": {"type": "array", "required": False},
        },
        parameters={"temperature": 0.3, "stop": ["END"]},
        output_schema={"type": "object", "properties": {"answer": {"type": "string"}}},
    )
    move_label(team.actor("editor"), version.prompt, "staging", version)
    shown = Page(signed_in(team.viewer).get(page("version-detail", "greeting", 1))).content

    marked = {kind: [one.text for one in shown.all(class_=f"cm-{kind}")] for kind in ("note", "tag", "var")}
    assert marked["note"] == ["{# for us #}"]
    assert marked["tag"] == ["{% if vip %}", "{% endif %}"]
    assert {"{{ shop }}", "{{ question }}", "history"} <= set(marked["var"])
    table = shown.one("div", aria_labelledby="variables-title")
    rows = {row.one("code", class_="cm-var").text: row.text for row in table.one("tbody").all("tr")}
    assert list(rows) == ["vip", "shop", "history", "question", "unused"]
    assert "at most 500 characters" in rows["question"]
    assert "required untrusted What was asked Example: Why?" in rows["question"].replace("  ", " ")
    assert "default Paper & Pen" in rows["shop"]
    assert "not declared" in rows["vip"]
    assert "not used" in rows["unused"]
    parameters = shown.one("section", aria_labelledby="parameters-title").text
    assert "temperature 0.3" in parameters
    assert 'stop ["END"]' in parameters
    assert '"answer"' in shown.one("pre", id="schema-code").text
    about = shown.one("section", aria_label="About this version")
    assert "staging" in about.text
    assert about.all("button", data_copy=version.content_sha256)
    assert about.all("button", data_copy="/api/v1/prompts/greeting/versions/1")


def test_a_version_says_how_to_use_it_in_code(team: Team) -> None:
    first = team.prompt(variables={"name": {"type": "string", "example": "O'Neil"}})
    save(team, first.prompt, messages=said("two"))
    move_label(team.actor("editor"), first.prompt, "production", first)
    browser = signed_in(team.viewer)

    labelled = Page(browser.get(page("version-detail", "greeting", 1))).one("section", class_="use-in-code")
    assert "/api/v1/prompts/greeting/resolve" in labelled.text
    assert "O'\\''Neil" in labelled.one("pre", id="use-code-run").text
    assert "'label': 'production'" in labelled.one("pre", id="use-code-python").text
    bare = Page(browser.get(page("version-detail", "greeting", 2))).one("section", class_="use-in-code")
    assert "resolve?version=2" in bare.text
    assert bare.all("a", href="/p/team/settings/tokens/")


def test_one_walks_from_version_to_version(team: Team) -> None:
    versions(team, 3)
    browser = signed_in(team.viewer)
    middle = Page(browser.get(page("version-detail", "greeting", 2)))
    assert middle.one("a", rel="prev").attributes["href"] == page("version-detail", "greeting", 1)
    assert middle.one("a", rel="next").attributes["href"] == page("version-detail", "greeting", 3)
    assert middle.link("What changed") == page("diff", "greeting", query="?from=1&to=2")
    first, last = (Page(browser.get(page("version-detail", "greeting", number))) for number in (1, 3))
    assert not first.all("a", rel="prev")
    assert not last.all("a", rel="next")


def test_a_text_prompt_reads_as_a_text(team: Team) -> None:
    team.prompt("plain", kind="text", syntax="fstring", messages=[{"content": "Dear {name}, {{braces}} stay"}])
    shown = Page(signed_in(team.viewer).get(page("version-detail", "plain", 1))).content
    assert [one.text for one in shown.all("span", class_="cm-var")] == ["{name}"]
    assert "{{braces}} stay" in shown.text


@pytest.mark.parametrize("number", [4, 0, 2**31, 10**25])
def test_a_version_that_is_not_there_is_not_found(team: Team, number: int) -> None:
    versions(team, 3)
    answer = signed_in(team.viewer).get(f"/p/team/prompts/greeting/versions/{number}/")
    assert Page(answer, 404).is_whole


def test_editing_from_an_old_version_loads_it_into_the_draft_and_loses_nothing(team: Team) -> None:
    prompt = versions(team, 3)[-1].prompt
    editor = team.actor("editor")
    save_draft(
        editor, open_draft(editor, prompt), revision=0, content={**GREETING, "messages": said("precious")}, heading={}
    )
    browser = signed_in(team.editor)
    form = Page(browser.get(page("version-detail", "greeting", 1))).one("form", action=page("edit-from", prompt, 1))
    assert form.one("button").text == "Edit from this version"

    answer = browser.post(page("edit-from", prompt, 1))
    assert (answer.status_code, answer["Location"]) == (302, "/p/team/prompts/greeting/")
    draft = Draft.objects.get()
    assert draft.content["messages"] == GREETING["messages"]
    assert draft.base_version is not None
    assert draft.base_version.number == 3
    assert browser.session[KEY][str(prompt.pk)]["content"]["messages"] == said("precious")


def test_an_archived_prompt_can_be_read_and_not_changed(team: Team) -> None:
    prompt = versions(team, 2)[0].prompt
    move_label(team.actor("editor"), prompt, "production", prompt.versions.get(number=1))
    archive_prompt(team.actor("editor"), prompt)
    browser = signed_in(team.editor)
    for name, more in READ_PAGES:
        answer = browser.get(page(name, prompt, *more))
        assert answer.status_code == 200
        if "csv" not in name:
            shown = Page(answer)
            assert "This prompt is archived" in shown.text
            assert shown.all("form", action=page("restore", prompt))
            assert not shown.all("form", action=page("archive", prompt))
            assert not [link for link in shown.links() if "/labels/move/" in link]
    for path in (page("edit-from", prompt, 1), page("label-rollback", prompt, "production")):
        refused = browser.post(path, follow=True)
        assert "archived" in Page(refused, refused.status_code).source
    assert not Draft.objects.exists()
    assert "Restore" not in Page(signed_in(team.viewer).get(page("versions", prompt))).content.text


@pytest.mark.parametrize(("name", "more"), READ_PAGES)
def test_members_read_outsiders_find_nothing_strangers_sign_in(team: Team, name: str, more: tuple[object, ...]) -> None:
    version = team.prompt()
    move_label(team.actor("editor"), version.prompt, "production", version)
    path = page(name, version.prompt, *more)
    assert signed_in(team.viewer).get(path).status_code == 200
    assert signed_in(team.outsider).get(path).status_code == 404
    assert Client().get(path)["Location"].startswith("/sign-in/")
    assert signed_in(team.viewer).delete(path).status_code == 405


@pytest.mark.parametrize(("name", "more"), WRITE_PAGES)
def test_only_who_may_write_writes(team: Team, name: str, more: tuple[object, ...]) -> None:
    version = team.prompt()
    move_label(team.actor("editor"), version.prompt, "production", version)
    path = page(name, version.prompt, *more)
    assert "role" in Page(signed_in(team.viewer).post(path), 403).text
    assert signed_in(team.outsider).post(path).status_code == 404
    assert signed_in(team.editor).get(path).status_code == 405
    assert signed_in(team.editor, enforce_csrf_checks=True).post(path).status_code == 403
    assert signed_in(team.editor).post(path).status_code == 302


@pytest.mark.parametrize(("name", "more"), [*READ_PAGES, *WRITE_PAGES])
def test_an_old_slug_leads_to_the_same_page_of_the_new_one(team: Team, name: str, more: tuple[object, ...]) -> None:
    version = team.prompt("before")
    move_label(team.actor("editor"), version.prompt, "production", version)
    prompt = update_prompt(team.actor("editor"), version.prompt, slug="after")
    browser = signed_in(team.editor)
    if (name, more) in READ_PAGES:
        answer = browser.get(page(name, "before", *more, query="?a=1"))
        assert (answer.status_code, answer["Location"]) == (307, page(name, prompt, *more, query="?a=1"))
        led = browser.get(page(name, "before", *more), headers={"HX-Request": "true"})
        assert (led.status_code, led["HX-Redirect"]) == (204, page(name, prompt, *more))
    else:
        answer = browser.post(page(name, "before", *more))
        assert (answer.status_code, answer["Location"]) == (307, page(name, prompt, *more))


def test_nothing_that_people_wrote_becomes_markup(team: Team) -> None:
    escaped = NASTY.replace("{{ 7*7 }}", "")
    first = team.prompt(
        message=NASTY,
        folder=NASTY.replace("/", "")[:60],
        description=NASTY,
        tags=[NASTY[:40]],
        messages=[
            {"role": "user", "content": escaped},
            {"role": "user", "content": [{"type": "text", "text": escaped}]},
        ],
        variables={"name": {"type": "string", "description": NASTY, "example": NASTY, "default": NASTY}},
        parameters={"stop": [NASTY]},
        output_schema={"type": "object", "description": NASTY},
    )
    second = save(team, first.prompt, message=NASTY, messages=said(f"other {escaped}"))
    for version in (first, second):
        move_label(team.actor("editor"), first.prompt, "production", version, reason=NASTY)
    browser = signed_in(team.editor)
    paths = [page(name, "greeting", *more) for name, more in READ_PAGES if "csv" not in name]
    paths += [page("diff", "greeting", query="?view=inline"), page("label-move", "greeting", query="?label=production")]
    for path in paths:
        shown = Page(browser.get(path))
        assert "<script>alert" not in shown.source, path
        assert not [one for one in shown.all("img") if "onerror" in one.attributes], path
