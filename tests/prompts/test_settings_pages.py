"""A prompt's settings: renaming and filing, archiving and bringing back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from promptops.audit.querysets import events_of
from promptops.prompts.models import Prompt
from promptops.prompts.selectors import search_prompts
from promptops.prompts.services import archive_prompt, move_label, update_prompt
from promptops.prompts.services.prompts import RESERVED_SLUGS
from promptops.prompts.urls import PROJECT
from tests.html import HTMX, Page, signed_in
from tests.people import Team
from tests.prompts.pages import page

URL = page("settings", "greeting")


def given(**changes: Any) -> dict[str, Any]:
    return {"slug": "greeting", "folder": "sales", "description": "Says hello.", "tags": "mail, live", **changes}


def test_it_shows_how_the_prompt_is_filed(team: Team) -> None:
    team.prompt(folder="sales/email", description="Says hello.", tags=["mail", "live"])
    shown = Page(signed_in(team.editor).get(URL))
    values = shown.values()
    assert {name: values[name] for name in ("slug", "folder", "description", "tags")} == {
        "slug": "greeting",
        "folder": "sales/email",
        "description": "Says hello.",
        "tags": "mail, live",
    }
    assert [one.attributes["value"] for one in shown.one("datalist", id="folder-names").all("option")] == [
        "sales",
        "sales/email",
    ]
    crumbs = shown.one("nav", aria_label="Breadcrumbs")
    assert [link.attributes["href"] for link in crumbs.all("a")] == [
        "/p/team/prompts/",
        "/p/team/prompts/?folder=sales",
        "/p/team/prompts/?folder=sales%2Femail",
    ]


def test_renaming_keeps_old_links_working_and_says_so(team: Team) -> None:
    team.prompt()
    browser = signed_in(team.editor)
    answer = browser.post(URL, given(slug="welcome"))
    assert answer["Location"] == page("settings", "welcome")
    shown = Page(browser.get(answer["Location"]))
    assert shown.notices() == ["Saved."]
    assert "greeting They redirect here." in shown.text
    assert browser.get(URL)["Location"] == page("settings", "welcome")
    prompt = Prompt.objects.get()
    assert (prompt.slug, prompt.folder, prompt.tags) == ("welcome", "sales", ["mail", "live"])
    assert [found.slug for found in search_prompts(team.project, text="says hello")] == ["welcome"]


def test_htmx_gets_the_form_back_or_is_led_on(team: Team) -> None:
    team.prompt()
    browser = signed_in(team.editor)
    refused = Page(browser.post(URL, given(slug="Not A Slug"), headers=HTMX), 422)
    assert not refused.is_whole
    assert [child.tag for child in refused.children if not isinstance(child, str)] == ["form"]
    assert browser.post(URL, given(slug="welcome"), headers=HTMX)["HX-Redirect"] == page("settings", "welcome")


@pytest.mark.parametrize(
    ("changes", "field", "complaint"),
    [
        ({"slug": "Not A Slug"}, "slug", "lower-case"),
        ({"slug": ""}, "slug", "required"),
        ({"slug": "new"}, "slug", "lower-case"),
        ({"slug": "search"}, "slug", "lower-case"),
        ({"slug": "taken"}, "slug", "Another prompt has"),
        ({"slug": "former"}, "slug", "or had"),
        ({"folder": "a" * 61}, "folder", "names between slashes"),
        ({"folder": "a\x85b"}, "folder", "names between slashes"),
        ({"tags": "x" * 51}, "tags", "At most 20 tags"),
        ({"tags": ",".join(map(str, range(21)))}, "tags", "At most 20 tags"),
        ({"description": "x" * 4001}, "description", "4000"),
        ({"description": "a\x00b"}, "description", "Null"),
    ],
)
def test_a_malformed_heading_keeps_what_was_typed(
    team: Team, changes: dict[str, str], field: str, complaint: str
) -> None:
    team.prompt()
    update_prompt(team.actor("editor"), team.prompt("former").prompt, slug="taken")
    shown = Page(signed_in(team.editor).post(URL, given(**changes)), 422)
    assert complaint in shown.errors()
    assert "Says hello." in shown.values()["description"] or field == "description"
    assert shown.values()["folder"] == changes.get("folder", "sales")
    assert Prompt.objects.get(slug="greeting").folder == ""


def test_saving_what_did_not_change_writes_nothing(team: Team) -> None:
    prompt = team.prompt(folder="sales", description="Says hello.", tags=["mail", "live"]).prompt
    signed_in(team.editor).post(URL, given())
    assert Prompt.objects.get().updated_at == prompt.updated_at
    assert not events_of(team.project.pk, action="prompt.updated").exists()
    signed_in(team.editor).post(URL, given(folder="/sales / email/"))
    assert Prompt.objects.get().folder == "sales/email"
    assert events_of(team.project.pk, action="prompt.updated").count() == 1


def test_no_slug_stands_in_the_way_of_a_page() -> None:
    routes = [str(route.pattern) for app in get_resolver().url_patterns for route in getattr(app, "url_patterns", [])]
    words = {route.removeprefix(PROJECT).split("/")[0] for route in routes if route.startswith(PROJECT)}
    assert {word for word in words if word and "<" not in word} == RESERVED_SLUGS


def test_a_folder_is_one_folder_however_its_accents_were_composed(team: Team) -> None:
    composed, decomposed = "Gr\u00f6\u00dfe", "Gro\u0308\u00dfe"
    one, two = team.prompt("one", folder=composed).prompt, team.prompt("two", folder=decomposed).prompt
    assert one.folder == two.folder == composed


def test_archiving_warns_of_what_is_live_and_is_undone_by_one_click(team: Team) -> None:
    version = team.prompt()
    browser = signed_in(team.editor)
    quiet = Page(browser.get(URL)).one("form", action=page("archive", "greeting"))
    assert "data-confirm" not in quiet.attributes
    move_label(team.actor("editor"), version.prompt, "production", version)
    asking = Page(browser.get(URL)).one("form", action=page("archive", "greeting"))
    assert "production" in asking.attributes["data-confirm"]

    answer = browser.post(page("archive", "greeting"), follow=True)
    shown = Page(answer)
    assert "“greeting” is archived" in shown.notices()[0]
    assert Prompt.objects.get().archived_at is not None
    restore = shown.one("form", action=page("restore", "greeting"))
    back = Page(browser.post(restore.attributes["action"], follow=True))
    assert "is back" in back.notices()[0]
    assert Prompt.objects.get().archived_at is None
    assert [event.action for event in events_of(team.project.pk, target_kind="prompt").order_by("id")][-2:] == [
        "prompt.archived",
        "prompt.restored",
    ]


def test_an_archived_prompt_is_not_renamed(team: Team) -> None:
    archive_prompt(team.actor("editor"), team.prompt().prompt)
    shown = Page(signed_in(team.editor).post(URL, given(slug="welcome")), 422)
    assert "Restore it first" in shown.errors()
    assert "disabled" in shown.one("fieldset").attributes
    assert Prompt.objects.get().slug == "greeting"


def test_readers_see_it_and_change_nothing(team: Team) -> None:
    team.prompt(description="Says hello.")
    reader = signed_in(team.viewer)
    shown = Page(reader.get(URL))
    assert "An editor can change these" in shown.text
    assert "disabled" in shown.one("fieldset").attributes
    assert not shown.content.all("button", type="submit")
    assert reader.post(URL, given(slug="mine")).status_code == 403
    assert signed_in(team.outsider).post(URL, given()).status_code == 404
    assert Client().post(URL, given())["Location"].startswith("/sign-in/")
    assert Prompt.objects.get().slug == "greeting"
