"""What the home page shows of runs: the week beside the week before, what runs, what failed, missing workers."""

from __future__ import annotations

import datetime as dt

from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from promptops.prompts.models import PromptActivity
from promptops.runs.home import week_of
from promptops.runs.models import Worker
from tests.people import Team
from tests.runs.pages import scripted_endpoint, start, work


def panel(client: Client, team: Team) -> str:
    return client.get(reverse("runs:home-panel", args=[team.project.slug])).content.decode()


def test_it_sums_the_week_and_the_week_before(viewer: Client, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=context_length", slug="short")
    for endpoint in ("scripted", "scripted", "scripted", "short"):
        start(team, endpoint=endpoint)
    work()
    prompt = team.project.prompts.get()
    today = timezone.now().date()
    PromptActivity.objects.create(
        prompt=prompt, version_number=1, day=today - dt.timedelta(days=9), runs=50, failed=5, cost_usd="1.25"
    )
    PromptActivity.objects.create(
        prompt=prompt, version_number=1, day=today - dt.timedelta(days=20), runs=999, failed=0, cost_usd="1"
    )

    week, before = week_of(team.project, today), week_of(team.project, today - dt.timedelta(days=7))
    text = panel(viewer, team)

    assert (week.runs, week.failed, week.failed_percent) == (4, 1, 25.0)
    assert week.median_ms is not None
    assert (before.runs, before.failed_percent, str(before.cost_usd)) == (50, 10.0, "1.2500000000")
    assert "25.0 %" in text
    assert "before: 10.0 %" in text
    assert "before: $1.25" in text


def test_it_lists_what_runs_and_what_failed(viewer: Client, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=context_length&message=Too+long.", slug="short")
    failed = start(team, endpoint="short")
    work()
    waiting = start(team)

    text = panel(viewer, team)

    assert "0 running, 1 waiting" in text
    assert "Too long." in text
    for run in (failed, waiting):
        assert reverse("runs:detail", args=[team.project.slug, run.pk]) in text


def test_it_asks_again_only_while_something_runs(viewer: Client, team: Team) -> None:
    start(team)
    assert "every 5s" in panel(viewer, team)
    work()
    assert "every 5s" not in panel(viewer, team)


def test_it_warns_of_queues_that_nobody_serves(viewer: Client, team: Team) -> None:
    Worker.objects.create(name="local@here:1", queue="local", seen_at=timezone.now())
    Worker.objects.create(name="api@gone:1", queue="api", seen_at=timezone.now() - dt.timedelta(minutes=2))

    text = panel(viewer, team)

    assert "No worker serves the queue “api”" in text
    assert "No worker serves the queue “local”" not in text
    assert "queue “local”: 1 worker process" in text


def test_it_says_what_to_do_where_nothing_has_run(viewer: Client, team: Team) -> None:
    assert "Nothing has run yet" in panel(viewer, team)


def test_it_costs_a_fixed_number_of_queries(
    viewer: Client, team: Team, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(12):
        start(team)
    panel(viewer, team)
    with django_assert_max_num_queries(18):
        panel(viewer, team)
