"""The list of runs: what its filters find, how it pages and sorts, its CSV, and what it costs."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from promptops.prompts.services import create_version
from promptops.runs.models import Run
from promptops.runs.services import Target, start_draft_run, start_run
from tests.html import HTMX
from tests.people import GREETING, Team
from tests.runs.pages import made_ago, scripted_endpoint, start, work

PRICE = {"input_price": "1.5", "output_price": "2"}


def listed(client: Client, team: Team, **query: Any) -> list[str]:
    """The ids on the page, in order."""
    answer = client.get(reverse("runs:list", args=[team.project.slug]), query, headers=HTMX)
    assert answer.status_code == 200
    return [str(row.run.pk) for row in answer.context["rows"]]


def ids(*runs: Run) -> list[str]:
    return [str(run.pk) for run in runs]


def test_it_shows_the_newest_first_with_the_beginning_of_the_answer(viewer: Client, team: Team) -> None:
    first, second = start(team), start(team)
    work()

    answer = viewer.get(reverse("runs:list", args=[team.project.slug]))

    assert listed(viewer, team) == ids(second, first)
    text = answer.content.decode()
    assert "Greet Ada in one sentence." in text
    assert reverse("runs:detail", args=[team.project.slug, first.pk]) in text
    assert "2 runs" in text


def test_it_finds_by_status(viewer: Client, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=context_length", slug="short")
    good, bad = start(team), start(team, endpoint="short")
    work()
    waiting = start(team)

    assert listed(viewer, team, status="succeeded") == ids(good)
    assert listed(viewer, team, status="failed") == ids(bad)
    assert listed(viewer, team, status="active") == ids(waiting)


def test_it_finds_by_prompt_version_label_and_endpoint(viewer: Client, team: Team) -> None:
    from promptops.prompts.services import move_label

    scripted_endpoint(team, slug="other")
    first = team.prompt("second")
    changed = {**GREETING, "messages": [{"role": "user", "content": "Hi {{ name }}"}]}
    version, _ = create_version(team.actor("editor"), first.prompt, changed)
    move_label(team.actor("owner"), first.prompt, "staging", version)
    one = start(team, "second")
    two = start(team, "second", version=2, endpoint="other")
    by_label = start(team, "second", label="staging")
    elsewhere = start(team)

    assert listed(viewer, team, prompt="second") == ids(by_label, two, one)
    assert listed(viewer, team, prompt="greeting") == ids(elsewhere)
    assert listed(viewer, team, prompt="second", version="1") == ids(one)
    assert listed(viewer, team, label="staging") == ids(by_label)
    assert listed(viewer, team, endpoint="other") == ids(two)


def test_it_finds_the_runs_of_drafts(viewer: Client, team: Team) -> None:
    start(team)
    endpoint = team.project.endpoints.get(slug="scripted")
    content = {**GREETING, "messages": [{"role": "user", "content": "Draft"}]}
    draft = start_draft_run(team.actor("editor"), team.project, content, endpoint, variables={})

    assert listed(viewer, team, version="draft") == ids(draft)


def test_it_finds_by_who_asked(viewer: Client, team: Team) -> None:
    from promptops.accounts.actors import token_actor
    from promptops.accounts.models import ApiToken
    from promptops.accounts.tokens import authenticate

    mine, hers = start(team), start(team, by="owner")
    secret = team.token("editor")
    actor = token_actor(authenticate(secret))
    target = Target(spec=mine.spec, prompt=mine.prompt, version=mine.version)
    by_token = start_run(actor, target, mine.endpoint, variables={"name": "Ada"})
    token = ApiToken.objects.get()

    assert listed(viewer, team, who=f"user:{team.editor.pk}") == ids(mine)
    assert listed(viewer, team, who=f"user:{team.owner.pk}") == ids(hers)
    assert listed(viewer, team, who=f"token:{token.pk}") == ids(by_token)


def test_it_finds_by_time(viewer: Client, team: Team) -> None:
    with made_ago(dt.timedelta(days=3)):
        old = start(team)
    new = start(team)
    day = old.created_at.date().isoformat()

    assert listed(viewer, team, period="24h") == ids(new)
    assert listed(viewer, team, period="7d") == ids(new, old)
    assert listed(viewer, team, since=day, until=day) == ids(old)
    assert listed(viewer, team, until=(old.created_at - dt.timedelta(days=1)).date().isoformat()) == []


def test_it_finds_by_the_beginning_and_the_end_of_an_id(viewer: Client, team: Team) -> None:
    run, other = start(team), start(team)

    assert listed(viewer, team, q=str(run.pk)) == ids(run)
    assert listed(viewer, team, q=str(run.pk)[-8:]) == ids(run)
    assert listed(viewer, team, q=str(other.pk)[:8]) == ids(other, run)
    assert listed(viewer, team, q="no id") == []


@pytest.mark.parametrize(
    "query",
    [
        {"status": "nonsense", "version": "x", "since": "2026-13-45", "until": "0", "who": "user:x", "sort": "x"},
        {"q": "\x00", "prompt": "\x00", "version": "9" * 30, "batch": "x", "period": "soon"},
        {"since": "9999-12-31", "until": "9999-12-31T23:59:59Z"},
        {"since": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_it_shows_a_list_whatever_the_address_says(viewer: Client, team: Team, query: dict[str, str]) -> None:
    start(team)

    assert viewer.get(reverse("runs:list", args=[team.project.slug]), query).status_code == 200


@pytest.mark.parametrize("sort", ["began", "-began", "time", "-time", "tokens", "-tokens", "cost", "-cost"])
def test_it_pages_without_losing_or_repeating_a_run(
    viewer: Client, team: Team, sort: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptops.runs.views.listing.PAGE_SIZE", 3)
    scripted_endpoint(team, slug="priced", price=PRICE)
    runs = [
        start(team, endpoint=slug, variables={"name": "A " * size})
        for size in (3, 1, 2)
        for slug in ("priced", "scripted")
    ]
    work()
    runs += [start(team), start(team)]  # without numbers

    seen: list[str] = []
    cursor = ""
    while True:
        answer = viewer.get(
            reverse("runs:list", args=[team.project.slug]), {"sort": sort, "cursor": cursor}, headers=HTMX
        )
        seen += [str(row.run.pk) for row in answer.context["rows"]]
        cursor = answer.context["next_cursor"]
        if not cursor:
            break

    assert sorted(seen) == sorted(ids(*runs))
    column = {"began": "created_at", "time": "latency_ms", "tokens": "output_tokens", "cost": "cost_usd"}
    by_id = {str(run.pk): getattr(run, column[sort.lstrip("-")]) for run in Run.objects.all()}
    known = [by_id[run_id] for run_id in seen if by_id[run_id] is not None]
    assert known == sorted(known, reverse=sort.startswith("-"))


def test_it_asks_again_only_while_something_runs(viewer: Client, team: Team) -> None:
    url = reverse("runs:list", args=[team.project.slug])
    start(team)
    assert 'hx-trigger="every 4s"' in viewer.get(url, headers=HTMX).content.decode()

    work()

    assert "every 4s" not in viewer.get(url, headers=HTMX).content.decode()


def test_it_says_what_to_do_where_there_is_nothing(viewer: Client, team: Team) -> None:
    url = reverse("runs:list", args=[team.project.slug])

    assert "Nothing has run yet" in viewer.get(url).content.decode()
    start(team)
    assert "No run fits" in viewer.get(url, {"status": "failed"}).content.decode()


def test_it_lists_the_runs_of_one_prompt_in_its_tabs(viewer: Client, team: Team) -> None:
    team.prompt("second")
    mine, other = start(team), start(team, "second")

    answer = viewer.get(reverse("runs:prompt-runs", args=[team.project.slug, "greeting"]))

    text = answer.content.decode()
    assert str(mine.pk) in text
    assert str(other.pk) not in text
    assert reverse("prompts:versions", args=[team.project.slug, "greeting"]) in text
    assert "prompt=greeting" in answer.context["csv_url"]


def test_it_exports_what_the_filters_find(viewer: Client, team: Team) -> None:
    scripted_endpoint(team, slug="priced", price=PRICE)
    run = start(team, endpoint="priced")
    start(team)
    work()

    answer: Any = viewer.get(reverse("runs:list-csv", args=[team.project.slug]), {"endpoint": "priced"})
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))

    run.refresh_from_db()
    assert [row["id"] for row in rows] == ids(run)
    assert rows[0]["status"] == "succeeded"
    assert rows[0]["prompt"] == "greeting"
    assert rows[0]["version"] == "1"
    assert rows[0]["output_tokens"] == str(run.output_tokens)
    assert rows[0]["cost_usd"] == f"{run.cost_usd:f}"
    assert "E" not in rows[0]["cost_usd"]


def test_it_shows_nothing_of_other_projects(viewer: Client, team: Team) -> None:
    run = start(team)
    viewer.force_login(team.outsider)

    assert viewer.get(reverse("runs:list", args=[team.project.slug])).status_code == 404
    elsewhere = viewer.get(reverse("runs:list", args=[team.elsewhere.slug]))
    assert str(run.pk) not in elsewhere.content.decode()


def test_it_costs_as_many_queries_for_thirty_runs_as_for_one(
    viewer: Client, team: Team, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    url = reverse("runs:list", args=[team.project.slug])
    start(team)
    viewer.get(url, headers=HTMX)  # the first visit of a project is remembered in the session
    with django_assert_max_num_queries(7) as one:
        viewer.get(url, headers=HTMX)
    for _ in range(29):
        start(team)
    work()
    with django_assert_max_num_queries(len(one.captured_queries)):
        viewer.get(url, headers=HTMX)
