"""The editor's pages and what they write: drafts as they are typed, versions, and what ends or revives a draft."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from promptops.prompts.models import Draft, Prompt, PromptVersion
from promptops.prompts.services import archive_prompt, create_version, open_draft, save_draft, update_prompt
from tests.html import HTMX, Page, signed_in, toast_of
from tests.people import GREETING, Team
from tests.prompts.editing import create_url, events, form, post, put, url


@pytest.fixture
def editor(team: Team) -> Client:
    return signed_in(team.editor)


def changed(text: str) -> dict[str, object]:
    return {**GREETING, "messages": [{"role": "user", "content": text}]}


def test_it_opens_with_the_newest_version_and_stores_nothing(editor: Client, team: Team) -> None:
    team.prompt(folder="mail/out")
    page = Page(editor.get(url(team, "detail")))

    values = page.values()
    assert json.loads(values["messages"]) == GREETING["messages"]
    assert json.loads(values["parameters"]) == {"temperature": 0.2}
    assert (values["kind"], values["syntax"], values["revision"]) == ("chat", "jinja", "0")
    assert page.link("mail").endswith("?folder=mail")
    assert not Draft.objects.exists()


def test_what_was_typed_is_there_when_the_page_is_opened_again(editor: Client, team: Team) -> None:
    team.prompt()
    answer = put(editor, url(team, "draft"), "Half a {{ senten")

    assert answer.json()["revision"] == 1
    values = Page(editor.get(url(team, "detail"))).values()
    assert json.loads(values["messages"]) == [{"role": "user", "content": "Half a {{ senten"}]
    assert values["revision"] == "1"


def test_a_stale_tab_gets_both_texts_and_overwrites_nothing(editor: Client, team: Team) -> None:
    team.prompt()
    put(editor, url(team, "draft"), "one")
    put(editor, url(team, "draft"), "two", revision=1)
    stale = put(editor, url(team, "draft"), "three", revision=1)

    problem = stale.json()
    assert (stale.status_code, problem["code"]) == (409, "stale_draft")
    assert problem["stored"]["content"]["messages"][0]["content"] == "two"
    assert problem["stored"]["revision"] == 2
    assert problem["yours"]["content"]["messages"][0]["content"] == "three"
    assert Draft.objects.get().content["messages"][0]["content"] == "two"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 422),
        ('{"revision": "x"}', 422),
        ("[]", 422),
        ('{"revision": 0, "content": [1]}', 422),
        ('{"revision": 0, "content": {"messages": NaN}}', 422),
        (json.dumps({"revision": 0, "content": {"messages": ["x" * 2_000_001]}}), 413),
        (json.dumps({"revision": 0, "content": "x" * (21 * 1024 * 1024)}), 413),
    ],
)
def test_a_draft_that_cannot_be_stored_is_refused_in_words(editor: Client, team: Team, body: str, status: int) -> None:
    team.prompt()
    answer = editor.put(url(team, "draft"), body, content_type="application/json", headers={"Accept": "*/*"})
    as_json = editor.put(
        url(team, "draft"), body, content_type="application/json", headers={"Accept": "application/json"}
    )

    assert answer.status_code == as_json.status_code == status
    assert as_json.json()["detail"]
    assert not Draft.objects.exists()


def test_a_lost_session_is_told_by_a_redirect_that_the_script_understands(client: Client, team: Team) -> None:
    team.prompt()
    answer = put(client, url(team, "draft"), "x")

    assert answer.status_code == 302
    assert reverse("accounts:sign-in") in answer["Location"]


def test_a_draft_typed_under_a_former_slug_arrives(editor: Client, team: Team) -> None:
    prompt = team.prompt().prompt
    update_prompt(team.actor("admin"), prompt, slug="hello")
    answer = put(editor, url(team, "draft", "greeting"), "typed")

    assert answer.status_code == 200
    assert Draft.objects.get().prompt == prompt


def test_it_saves_a_version_and_says_what_can_be_done_next(editor: Client, team: Team) -> None:
    team.prompt()
    put(editor, url(team, "draft"), "Hello {{ name }}")
    answer = post(editor, url(team, "save"), form("Hello {{ name }}!", revision=1, message="Warmer"))

    version = PromptVersion.objects.get(number=2)
    assert version.content["messages"][0]["content"] == "Hello {{ name }}!"
    assert (version.message, version.author) == ("Warmer", team.editor)
    assert not Draft.objects.exists()
    told = events(answer)
    assert told["draft:committed"]["version"] == 2
    assert [link["url"] for link in told["toast"]["links"]] == [
        f"{url(team, 'diff')}?from=1&to=2",
        f"{url(team, 'label-move')}?label=production&version=2",
        f"{reverse('reviews:propose', args=[team.project.slug, 'greeting'])}?label=production&version=2",
    ]
    assert "v2" in Page(answer).text


def test_saving_what_did_not_change_says_so_and_makes_no_version(editor: Client, team: Team) -> None:
    team.prompt()
    answer = post(editor, url(team, "save"), form())

    assert "Nothing has changed" in toast_of(answer)
    assert PromptVersion.objects.count() == 1
    assert not Draft.objects.exists()


def test_a_version_saved_meanwhile_is_shown_and_the_text_can_go_on_top_of_it(editor: Client, team: Team) -> None:
    prompt = team.prompt().prompt
    put(editor, url(team, "draft"), "mine")
    create_version(team.actor("admin"), prompt, changed("theirs"), message="Faster")
    refused = post(editor, url(team, "save"), form("mine", revision=1))

    page = Page(refused, status=409)
    assert "Version 2 was saved meanwhile by Admin" in page.text
    assert "Faster" in page.text
    assert page.link("What changed") == f"{url(team, 'diff')}?from=1&to=2"
    assert Draft.objects.get().revision == 1
    again = post(editor, url(team, "save"), form("mine", revision=1, onto=2))

    assert again.status_code == 200
    newest = PromptVersion.objects.get(number=3)
    assert newest.content["messages"][0]["content"] == "mine"
    assert newest.parent is not None
    assert newest.parent.number == 2


def test_a_draft_begins_from_the_version_that_its_page_shows(editor: Client, team: Team) -> None:
    prompt = team.prompt().prompt
    create_version(team.actor("admin"), prompt, changed("saved while the page was open"))
    body = {"revision": 0, "base": 1, "content": changed("mine"), "heading": {}}
    editor.put(url(team, "draft"), json.dumps(body), content_type="application/json")

    base = open_draft(team.actor("editor"), prompt).base_version
    assert base is not None
    assert base.number == 1
    Draft.objects.all().delete()
    assert post(editor, url(team, "save"), form("mine", base=1)).status_code == 409
    assert PromptVersion.objects.count() == 2


def test_a_draft_of_any_shape_can_be_opened(editor: Client, team: Team) -> None:
    prompt = team.prompt().prompt
    odd = {"messages": ["text", {"role": "user"}], "variables": [], "parameters": "x", "kind": 5, "syntax": None}
    save_draft(team.actor("editor"), open_draft(team.actor("editor"), prompt), revision=0, content=odd)

    assert json.loads(Page(editor.get(url(team, "detail"))).values()["messages"]) == [{"role": "user"}]


def test_a_draft_behind_a_newer_version_can_follow_it_before_it_is_saved(editor: Client, team: Team) -> None:
    prompt = team.prompt().prompt
    put(editor, url(team, "draft"), "mine")
    create_version(team.actor("admin"), prompt, changed("theirs"))
    page = Page(editor.get(url(team, "detail")))
    assert "Go on from version 2" in page.text

    post(editor, url(team, "rebase"), form("mine", revision=1, onto=2))
    draft = open_draft(team.actor("editor"), prompt)
    assert draft.base_version is not None
    assert draft.base_version.number == 2
    assert draft.content["messages"][0]["content"] == "mine"
    assert "Go on from version" not in Page(editor.get(url(team, "detail"))).text


def test_a_refused_save_names_every_place_and_keeps_the_draft(editor: Client, team: Team) -> None:
    team.prompt()
    put(editor, url(team, "draft"), "x")
    wrong = form("Line one\n{{ name", revision=1, parameters={"temperature": 9})
    page = Page(post(editor, url(team, "save"), wrong), status=422)

    [place] = page.all("li", data_path="parameters.temperature")
    assert "0 to 2" in place.text
    wrong = form("Line one\n{{ name", revision=1)
    page = Page(post(editor, url(team, "save"), wrong), status=422)
    [place] = page.all("li", data_message_index="0")
    assert place.attributes["data-line"] == "2"
    assert PromptVersion.objects.count() == 1
    assert Draft.objects.get().revision == 1


@pytest.mark.parametrize("text", ['{"type":', "[1]", '"text"'])
@pytest.mark.parametrize("field", ["output_schema", "extra"])
def test_json_that_is_not_what_it_should_be_is_refused_at_its_field(
    editor: Client, team: Team, field: str, text: str
) -> None:
    team.prompt()
    page = Page(post(editor, url(team, "save"), form("x", **{field: text})), status=422)

    assert len(page.all("li", data_path=field)) == 1
    assert PromptVersion.objects.count() == 1


def test_saving_a_draft_that_another_tab_changed_sends_the_page_to_ask_for_both_texts(
    editor: Client, team: Team
) -> None:
    team.prompt()
    put(editor, url(team, "draft"), "one")
    put(editor, url(team, "draft"), "two", revision=1)
    answer = post(editor, url(team, "save"), form("three", revision=1))

    assert answer.status_code == 409
    assert "draft:stale" in events(answer)
    assert Draft.objects.get().content["messages"][0]["content"] == "two"
    assert PromptVersion.objects.count() == 1


def test_a_new_prompt_gets_an_address_with_the_first_word_and_becomes_a_prompt(editor: Client, team: Team) -> None:
    first = put(editor, url(team, "draft", "new"), "Sum up {{ text }}", slug="summary", folder="mail", tags=["a", "b"])
    told = first.json()
    assert told["page"] == f"{create_url(team)}?draft={told['id']}"

    page = Page(editor.get(told["page"]))
    assert page.values()["slug"] == "summary"
    assert page.values()["tags"] == "a, b"
    assert page.one("form", id="editor-form").attributes["data-url"] == told["url"]
    second = put(editor, told["url"], "Sum up: {{ text }}", revision=1, slug="summary", folder="mail", tags=["a"])
    assert second.json()["revision"] == 2
    fields = form("Sum up: {{ text }}", revision=2, draft=told["id"], slug="summary", folder="mail", tags="a, b")
    answer = post(editor, url(team, "save", "new"), fields)

    assert answer["HX-Redirect"] == url(team, "detail", "summary")
    prompt = Prompt.objects.get()
    assert (prompt.slug, prompt.folder, prompt.tags) == ("summary", "mail", ["a", "b"])
    assert not Draft.objects.exists()
    assert "draft:ended" in events(answer)
    notice = Page(editor.get(url(team, "detail", "summary"))).notices()
    assert "Put production on it" in notice[0]


def test_several_new_prompts_can_be_begun_and_each_is_listed_on_the_others_page(editor: Client, team: Team) -> None:
    one = put(editor, url(team, "draft", "new"), "first idea").json()
    two = put(editor, url(team, "draft", "new"), "second idea", slug="second").json()

    page = Page(editor.get(two["page"]))
    assert page.link("first idea") == f"?draft={one['id']}"
    assert "second idea" in page.values()["messages"]


def test_a_taken_slug_is_refused_at_its_field(editor: Client, team: Team) -> None:
    team.prompt()
    page = Page(post(editor, url(team, "save", "new"), form("x", slug="greeting")), status=409)

    assert "Another prompt has" in page.one("li", data_path="slug").text
    assert Prompt.objects.count() == 1


def test_a_new_prompts_draft_that_is_gone_leads_to_an_empty_page(editor: Client, team: Team) -> None:
    told = put(editor, url(team, "draft", "new"), "x").json()
    Draft.objects.all().delete()
    gone = editor.get(told["page"])
    late = put(editor, told["url"], "typed after", revision=1)

    assert gone["Location"] == create_url(team)
    assert late.status_code == 409
    assert late.json()["stored"] is None
    assert late.json()["yours"]["content"]["messages"][0]["content"] == "typed after"


def test_a_discarded_draft_can_be_brought_back_as_it_was(editor: Client, team: Team) -> None:
    prompt = team.prompt().prompt
    put(editor, url(team, "draft"), "precious")
    answer = post(editor, url(team, "discard"), {})
    assert answer["HX-Redirect"] == url(team, "detail")
    assert not Draft.objects.exists()
    create_version(team.actor("admin"), prompt, changed("newer"))

    assert "Bring it back" in Page(editor.get(url(team, "detail"))).text
    post(editor, url(team, "bring-back"), {})
    draft = Draft.objects.get()
    assert draft.content["messages"][0]["content"] == "precious"
    # It still is a draft of the version that it began from, so that saving it does not hide the newer one.
    assert draft.base_version is not None
    assert draft.base_version.number == 1
    assert "Bring it back" not in Page(editor.get(url(team, "detail"))).text


def test_bringing_a_draft_back_changes_places_with_what_was_typed_since(editor: Client, team: Team) -> None:
    team.prompt()
    put(editor, url(team, "draft"), "first")
    post(editor, url(team, "discard"), {})
    put(editor, url(team, "draft"), "second")
    post(editor, url(team, "bring-back"), {})
    assert Draft.objects.get().content["messages"][0]["content"] == "first"

    post(editor, url(team, "bring-back"), {})
    assert Draft.objects.get().content["messages"][0]["content"] == "second"


def test_a_discarded_new_prompt_can_be_brought_back_too(editor: Client, team: Team) -> None:
    told = put(editor, url(team, "draft", "new"), "an idea", slug="idea").json()
    post(editor, url(team, "discard", "new"), {"draft": told["id"]})
    assert not Draft.objects.exists()

    answer = post(editor, url(team, "bring-back", "new"), {})
    draft = Draft.objects.get()
    assert answer["HX-Redirect"] == f"{create_url(team)}?draft={draft.pk}"
    assert draft.heading["slug"] == "idea"


def test_what_a_version_would_change_is_shown_before_it_is_saved(editor: Client, team: Team) -> None:
    team.prompt()
    fields = form("Greet {{ name }} in two sentences.", parameters={"temperature": 0.5})
    shown = Page(post(editor, url(team, "changes"), fields))
    same = Page(post(editor, url(team, "changes"), form()))
    broken = Page(post(editor, url(team, "changes"), form(messages=[{"role": "nobody"}])))

    assert "Parameters: temperature" in shown.text
    assert any("two" in one.text for one in shown.all("ins"))
    assert "Nothing has changed since version 1" in same.text
    assert "cannot be shown" in broken.text


def test_a_viewer_reads_the_newest_version(team: Team) -> None:
    team.prompt()
    page = Page(signed_in(team.viewer).get(url(team, "detail")))

    assert "Greet {{ name }} in one sentence." in page.content.text
    assert not page.all("form", id="editor-form")
    assert "role of an editor" in page.text


def test_an_archived_prompt_is_read_and_cannot_be_saved(editor: Client, team: Team) -> None:
    prompt = team.prompt().prompt
    put(editor, url(team, "draft"), "too late")
    archive_prompt(team.actor("admin"), prompt)
    page = Page(editor.get(url(team, "detail")))
    refused = post(editor, url(team, "save"), form("too late", revision=1))

    assert "This prompt is archived" in page.text
    assert not page.all("form", id="editor-form")
    assert "archived" in Page(refused, status=409).text
    assert PromptVersion.objects.count() == 1
    assert Draft.objects.get().content["messages"][0]["content"] == "too late"


def test_every_person_has_a_draft_of_their_own(editor: Client, team: Team) -> None:
    team.prompt()
    put(editor, url(team, "draft"), "the editor's")
    other = signed_in(team.admin)
    put(other, url(team, "draft"), "the admin's")

    assert "the editor&#x27;s" in editor.get(url(team, "detail")).content.decode()
    assert "the admin&#x27;s" in other.get(url(team, "detail")).content.decode()
    mine = put(editor, url(team, "draft", "new"), "a new idea").json()
    assert other.get(mine["page"])["Location"] == create_url(team)
    assert put(other, mine["url"], "stolen", revision=1).status_code == 409


@pytest.mark.parametrize("name", ["preview", "changes", "draft", "save", "discard", "bring-back", "rebase"])
def test_only_those_who_may_write_reach_what_the_editor_sends(team: Team, name: str) -> None:
    team.prompt()
    for person, expected in ((team.viewer, 403), (team.outsider, 404)):
        client = signed_in(person)
        send = client.put if name == "draft" else client.post
        assert send(url(team, name), {}, headers=HTMX).status_code == expected
