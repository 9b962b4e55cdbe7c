"""The list of prompts: finding, sorting, paging, CSV; and the search of the command palette."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from promptops.prompts.models import Prompt, PromptActivity
from promptops.prompts.presenters import folder_tree
from promptops.prompts.services import archive_prompt, move_label, save_draft, start_draft
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.people import GREETING, Team
from tests.prompts.pages import NASTY, said, save

URL = "/p/team/prompts/"
ODD_FOLDERS = [
    "50% off",
    "a_b",
    "R&D + ops",
    "<b>bold</b>",
    'say "hi"',
    "客服/邮件",
    "back\\slash",
    "#1?x=y",
    "über größe",
]


def listed(client: Client, **query: str) -> list[str]:
    """The slugs in the table, in order."""
    shown = Page(client.get(f"{URL}?{urlencode(query)}"))
    return [link.text for link in shown.all("a", class_="row-link")]


def ran(prompt: Prompt, runs: int, *, failed: int = 0, cost: str = "0", days_ago: int = 0) -> None:
    PromptActivity.objects.create(
        prompt=prompt,
        version_number=1,
        day=timezone.now().date() - dt.timedelta(days=days_ago),
        runs=runs,
        failed=failed,
        cost_usd=Decimal(cost),
    )


def test_it_shows_what_is_live_and_how_it_went_this_week(team: Team) -> None:
    first = team.prompt("support-reply", folder="support", tags=["mail"], description="Answers customers.")
    second = save(team, first.prompt, messages=said("two"))
    move_label(team.actor("editor"), first.prompt, "production", first)
    move_label(team.actor("editor"), first.prompt, "staging", second)
    ran(first.prompt, 150, failed=3, cost="1.25")
    ran(first.prompt, 50, failed=1, cost="0.5", days_ago=6)
    ran(first.prompt, 1000, failed=900, cost="99", days_ago=7)  # before this week

    row = Page(signed_in(team.viewer).get(URL)).one("tbody").one("tr")

    assert "support-reply v2" in row.text
    assert "Answers customers." in row.text
    labels = [cell.text for cell in row.all(class_="label-at")]
    assert labels == ["production v1", "staging v2"]
    assert "200" in row.text
    assert "2.0 %" in row.text
    assert "$1.75" in row.text
    assert row.one("span", class_="is-bad").attributes["title"] == "4 of 200 runs failed"


def test_without_runs_there_is_no_share_and_no_cost(team: Team) -> None:
    team.prompt()
    row = Page(signed_in(team.viewer).get(URL)).one("tbody").one("tr")
    assert [cell.text for cell in row.all("td", class_="num")] == ["0", "—", "—"]
    assert "not released" in row.text


def test_it_finds_as_one_types_in_any_language(team: Team) -> None:
    team.prompt("zh", messages=said("请写一份简短的客户对话摘要：{{ text }}"))
    team.prompt("en", description="Summaries of talks", messages=said("Summarise {{ text }}"))
    browser = signed_in(team.viewer)

    assert listed(browser, q="摘要") == ["zh"]
    assert listed(browser, q="summar") == ["en"]
    assert listed(browser, q="SUMMARIES talks") == ["en"]
    assert listed(browser, q="100%") == []
    assert set(listed(browser, q="  ")) == {"zh", "en"}


def test_htmx_gets_the_browser_alone_and_the_page_has_the_search_around_it(team: Team) -> None:
    team.prompt()
    browser = signed_in(team.viewer)
    whole, fragment = Page(browser.get(URL)), Page(browser.get(f"{URL}?q=greet", headers=HTMX))

    assert whole.is_whole
    assert whole.one("form", id="prompt-search").attributes["hx-target"] == "#prompt-browser"
    assert not fragment.is_whole
    assert not fragment.all("form")
    assert fragment.one("div", id="prompt-browser").one("a", class_="row-link").text == "greeting"
    assert "HX-Request" in browser.get(URL)["Vary"]


def test_what_is_chosen_stays_chosen_while_one_searches(team: Team) -> None:
    team.prompt("one", folder="support", tags=["mail"])
    team.prompt("two", folder="sales", tags=["mail"])
    shown = Page(signed_in(team.viewer).get(f"{URL}?folder=support&tag=mail&sort=slug&q=hello"))

    sent = {(one.attributes["name"], one.attributes["value"]) for one in shown.all("input", form="prompt-search")}
    assert sent == {("folder", "support"), ("tag", "mail"), ("sort", "slug")}
    sales = next(link for link in shown.all("a", class_="facet") if link.text.startswith("sales"))
    assert parse_qs(urlsplit(sales.attributes["href"]).query) == {
        "folder": ["sales"],
        "tag": ["mail"],
        "sort": ["slug"],
        "q": ["hello"],
    }


def test_a_folder_holds_what_lies_below_it_and_unfolds_on_the_way(team: Team) -> None:
    for slug, folder in (("one", "support"), ("two", "support/email"), ("three", "supporters"), ("four", "")):
        team.prompt(slug, folder=folder)
    browser = signed_in(team.viewer)

    assert set(listed(browser, folder="support")) == {"one", "two"}
    shown = Page(browser.get(f"{URL}?folder=support"))
    facets = [link.text for link in shown.all("a", class_="facet")]
    assert facets == ["All folders", "support 2", "email 1", "supporters 1"]
    assert shown.one("a", class_="facet", aria_current="true").text == "support 2"
    assert "email" not in Page(browser.get(URL)).one("nav", aria_label="Folders").text


@pytest.mark.parametrize("folder", ODD_FOLDERS)
def test_a_folder_may_be_called_anything(team: Team, folder: str) -> None:
    team.prompt("inside", folder=folder)
    team.prompt("outside", folder="a-b")
    browser = signed_in(team.viewer)

    shown = Page(browser.get(f"{URL}?{urlencode({'folder': folder})}"))
    assert [link.text for link in shown.all("a", class_="row-link")] == ["inside"]
    assert "<b>bold</b>" not in shown.source
    leads = shown.one("a", class_="facet", aria_current="true").attributes["href"]
    assert parse_qs(urlsplit(leads).query)["folder"] == [folder]
    assert listed(browser, folder=folder) == ["inside"]


def test_the_tree_of_folders_has_every_level_even_the_empty_ones() -> None:
    tree = folder_tree({"a/b/c": 2, "a": 1, "z": 3}, "a/b/c")
    assert [(node.path, node.count) for node in tree] == [("a", 3), ("z", 3)]
    assert [(node.path, node.count) for node in tree[0].children] == [("a/b", 2)]
    assert tree[0].children[0].children[0].is_current


def test_tags_and_kinds_narrow_the_list(team: Team) -> None:
    team.prompt("mail", tags=["mail", "live"])
    team.prompt("plain", kind="text", messages=[{"content": "Hello {{ name }}"}], tags=["live"])
    browser = signed_in(team.viewer)

    assert listed(browser, tag="mail") == ["mail"]
    assert listed(browser, kind="text") == ["plain"]
    assert set(listed(browser, kind="poem")) == {"mail", "plain"}
    chosen = Page(browser.get(f"{URL}?tag=live")).one("a", class_="chip", aria_current="true")
    assert chosen.text == "live 2"
    assert "tag" not in parse_qs(urlsplit(chosen.attributes["href"]).query)


def test_it_sorts_by_every_column_both_ways(team: Team) -> None:
    for slug, runs, failed, cost in (("b", 10, 5, "0.1"), ("a", 30, 0, "0.01"), ("c", 20, 9, "3")):
        ran(team.prompt(slug).prompt, runs, failed=failed, cost=cost)
    team.prompt("never")
    browser = signed_in(team.viewer)

    assert listed(browser) == ["never", "c", "a", "b"]
    assert listed(browser, sort="updated") == ["b", "a", "c", "never"]
    assert listed(browser, sort="slug") == ["a", "b", "c", "never"]
    assert listed(browser, sort="-runs")[:3] == ["a", "c", "b"]
    assert listed(browser, sort="-failed")[:2] == ["b", "c"]  # by their share, as shown
    assert listed(browser, sort="-cost")[:3] == ["c", "b", "a"]
    assert listed(browser, sort="runs")[0] == "never"
    assert listed(browser, sort="nonsense") == listed(browser)
    header = Page(browser.get(f"{URL}?sort=-runs")).one("th", aria_sort="descending")
    assert header.text == "Runs, 7 d"


@pytest.fixture
def thousand(team: Team) -> Team:
    """A thousand prompts, written in bulk, with activity on many of them."""
    head = team.prompt("seed").prompt
    now = timezone.now()
    prompts = Prompt.objects.bulk_create(
        Prompt(
            project=team.project,
            slug=f"prompt-{number:04d}",
            kind="chat",
            folder=f"folder-{number % 17}",
            tags=[f"tag-{number % 5}"],
            last_number=1,
            search_text=f"prompt-{number:04d} 摘要 {number}",
            updated_at=now
            - dt.timedelta(seconds=number % 50),  # many share a moment: the cursor has to tell them apart
        )
        for number in range(1000)
    )
    PromptActivity.objects.bulk_create(
        PromptActivity(prompt=prompt, day=now.date(), runs=prompt.pk % 7, failed=prompt.pk % 3, cost_usd="0.000001")
        for prompt in prompts
    )
    assert head.slug == "seed"
    return team


@pytest.mark.parametrize("sort", ["-updated", "slug", "-runs", "cost"])
def test_a_thousand_prompts_are_paged_through_without_gaps(thousand: Team, sort: str) -> None:
    browser = signed_in(thousand.viewer)
    seen: list[str] = []
    url: str | None = f"{URL}?sort={sort}"
    while url:
        shown = Page(browser.get(url))
        seen += [link.text for link in shown.all("a", class_="row-link")]
        following = shown.all("a", rel="next")
        url = f"{URL}{following[0].attributes['href']}" if following else None
    assert len(seen) == len(set(seen)) == 1001
    assert "1,001 prompts" in shown.text


def test_the_list_asks_the_database_the_same_few_questions_however_long_it_is(thousand: Team) -> None:
    browser = signed_in(thousand.editor)
    browser.get(URL)
    for query, count in (("", 13), ("?sort=-runs", 13), ("?q=摘要", 13), ("?q=摘要&folder=folder-3&tag=tag-1", 12)):
        with CaptureQueriesContext(connection) as asked:
            assert browser.get(f"{URL}{query}").status_code == 200
        # Session, person, project, role; page, folders, tags, labels, activity, drafts; where it goes on, how many.
        assert len(asked) == count, [one["sql"][:120] for one in asked]


def test_a_cursor_that_was_tampered_with_is_refused_in_words(team: Team) -> None:
    team.prompt()
    answer = signed_in(team.viewer).get(f"{URL}?cursor=nonsense")
    assert "cursor" in Page(answer, 422).text


def test_archived_prompts_are_elsewhere(team: Team) -> None:
    archive_prompt(team.actor("editor"), team.prompt("old").prompt)
    team.prompt("fresh")
    browser = signed_in(team.viewer)
    assert listed(browser) == ["fresh"]
    assert listed(browser, archived="1") == ["old"]


def test_an_empty_list_says_what_to_do_next(team: Team) -> None:
    writer, reader = Page(signed_in(team.editor).get(URL)), Page(signed_in(team.viewer).get(URL))
    assert "No prompts yet" in writer.text
    assert writer.link("Write a prompt") == "/p/team/prompts/new/"
    assert "No prompts yet" in reader.text
    assert "/p/team/prompts/new/" not in reader.links()

    assert "Nothing is archived" in Page(signed_in(team.viewer).get(f"{URL}?archived=1")).text
    team.prompt()
    nothing = Page(signed_in(team.viewer).get(f"{URL}?q=zzz"))
    assert "Nothing found" in nothing.text
    assert nothing.link("Show all prompts") == URL


def test_a_writer_sees_the_new_prompts_that_are_not_saved_yet_and_nobody_else_does(team: Team) -> None:
    editor = team.actor("editor")
    named = save_draft(
        editor, start_draft(editor, team.project), revision=0, content=GREETING, heading={"slug": "thank-you"}
    )
    save_draft(editor, start_draft(editor, team.project), revision=0, content={"messages": said("Dear {{ name }}")})
    save_draft(editor, start_draft(editor, team.project), revision=0, content={"messages": 5})

    mine = Page(signed_in(team.editor).get(URL))
    assert mine.link("thank-you") == f"/p/team/prompts/new/?draft={named.pk}"
    assert "Dear {{ name }}" in mine.text
    assert "Untitled prompt" in mine.text
    assert "thank-you" not in Page(signed_in(team.reviewer).get(URL)).text


def test_nothing_that_people_wrote_becomes_markup(team: Team) -> None:
    nasty_name = NASTY.replace("/", "")
    team.prompt("safe", folder=nasty_name[:60], description=NASTY, tags=[NASTY[:40]], messages=said(NASTY))
    browser = signed_in(team.editor)
    for query in ({}, {"q": NASTY}, {"folder": NASTY}, {"tag": NASTY}, {"sort": NASTY}, {"kind": NASTY}):
        shown = Page(browser.get(f"{URL}?{urlencode(query)}"))
        assert not [one for one in shown.all("img") if "onerror" in one.attributes]
        assert "<script>alert" not in shown.source


def test_it_exports_what_is_found_and_no_cell_runs_as_a_formula(team: Team) -> None:
    version = team.prompt("formula", folder="=cmd()", description='=HYPERLINK("x")', tags=["+1", "ok"])
    move_label(team.actor("editor"), version.prompt, "production", version)
    ran(version.prompt, 4, failed=1, cost="0.5")
    team.prompt("other")
    browser = signed_in(team.viewer)

    header, row = csv_rows(browser.get(f"{URL}csv/?q=formula"))
    shown = dict(zip(header, row, strict=True))
    assert shown["slug"] == "formula"
    assert shown["folder"] == "'=cmd()"
    assert shown["description"] == '\'=HYPERLINK("x")'
    assert shown["tags"] == "'+1, ok"
    assert shown["labels"] == "production=1"
    assert (shown["runs_7_days"], shown["failed_7_days"], Decimal(shown["cost_usd_7_days"])) == (
        "4",
        "1",
        Decimal("0.5"),
    )
    link = next(one for one in Page(browser.get(f"{URL}?q=formula")).links() if "csv" in one)
    assert len(csv_rows(browser.get(link))) == 2


def test_an_export_of_many_asks_in_chunks(thousand: Team) -> None:
    browser = signed_in(thousand.viewer)
    browser.get(URL)
    with CaptureQueriesContext(connection) as asked:
        rows = csv_rows(browser.get(f"{URL}csv/?sort=slug"))
    assert len(rows) == 1002
    assert rows[1][0] == "prompt-0000"
    # Session, person, project, role, prompts; labels and activity of three chunks.
    assert len(asked) == 11, [one["sql"][:100] for one in asked]


@pytest.mark.parametrize("path", ["", "csv/", "search/?q=a", "home-panel/"])
def test_outsiders_find_nothing_and_strangers_sign_in(team: Team, path: str) -> None:
    team.prompt()
    assert signed_in(team.outsider).get(f"{URL}{path}").status_code == 404
    assert Client().get(f"{URL}{path}")["Location"].startswith("/sign-in/")
    assert signed_in(team.viewer).post(f"{URL}{path}").status_code == 405


def test_the_palette_finds_prompts_the_ones_that_begin_so_first(team: Team) -> None:
    team.prompt("summary", folder="support")
    team.prompt("other", messages=said("a summary of it"))
    browser = signed_in(team.viewer)

    found: list[dict[str, Any]] = browser.get(f"{URL}search/?q=Summ").json()["items"]
    assert [one["label"] for one in found] == ["summary", "other"]
    assert found[0]["url"] == "/p/team/prompts/summary/"
    assert found[0]["hint"] == "support"
    assert browser.get(f"{URL}search/?q=").json() == {"items": []}
    assert browser.get(f"{URL}search/?q=%00").json() == {"items": []}


def test_the_palette_of_one_project_knows_nothing_of_another(team: Team) -> None:
    team.prompt("summary")
    elsewhere = f"/p/{team.elsewhere.slug}/prompts/search/?q=summary"
    assert signed_in(team.outsider).get(elsewhere).json() == {"items": []}


def test_the_home_panel_shows_what_changed_what_is_mine_and_what_was_released(team: Team) -> None:
    version = team.prompt("support-reply")
    move_label(team.actor("reviewer"), version.prompt, "production", version)
    editor = team.actor("editor")
    save_draft(editor, start_draft(editor, team.project), revision=0, content=GREETING, heading={"slug": "thank-you"})

    mine = Page(signed_in(team.editor).get(f"{URL}home-panel/"))
    assert not mine.is_whole
    assert "support-reply" in mine.one("section", aria_labelledby="changed-title").text
    assert "thank-you" in mine.one("section", aria_labelledby="drafts-title").text
    assert "production support-reply → v1 Reviewer" in mine.one("section", aria_labelledby="moves-title").text

    theirs = Page(signed_in(team.viewer).get(f"{URL}home-panel/"))
    assert "thank-you" not in theirs.text
    archive_prompt(editor, version.prompt)
    assert "support-reply" not in Page(signed_in(team.editor).get(f"{URL}home-panel/")).text
