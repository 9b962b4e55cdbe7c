"""The pages of batches: progress, pace, errors by kind; pausing, resuming, cancelling."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from promptops.runs.models import Batch, Run
from promptops.runs.progress import pace_of, progress_of
from promptops.runs.services import start_batch, version_target
from promptops.runs.targets import RunRequest
from tests.html import HTMX
from tests.people import Team
from tests.runs.pages import scripted_endpoint, work


def make_batch(team: Team, size: int = 4, endpoint: str = "scripted") -> Batch:
    target = version_target(team.project, "greeting", version=1)
    found = team.project.endpoints.get(slug=endpoint)
    return start_batch(team.actor("editor"), target, found, [RunRequest({"name": f"P{n}"}) for n in range(size)])


def url(team: Team, name: str, batch: Batch) -> str:
    return reverse(f"runs:batch-{name}", args=[team.project.slug, batch.pk])


def page(client: Client, team: Team, batch: Batch, **more: Any) -> str:
    answer = client.get(url(team, "detail", batch), **more)
    assert answer.status_code == 200
    return answer.content.decode()


def test_it_lists_batches_with_their_progress(editor: Client, team: Team) -> None:
    done = make_batch(team, 3)
    work()
    waiting = make_batch(team, 2)

    answer = editor.get(reverse("runs:batch-list", args=[team.project.slug]))
    text = answer.content.decode()

    assert [row.batch for row in answer.context["rows"]] == [waiting, done]
    assert "3 of 3 runs have ended" in text
    assert "0 of 2 runs have ended" in text
    assert url(team, "detail", done) in text


def test_it_shows_progress_costs_and_the_runs(editor: Client, team: Team) -> None:
    scripted_endpoint(team, slug="priced", price={"input_price": "1000", "output_price": "1000"})
    batch = make_batch(team, 3, "priced")
    work()

    text = page(editor, team, batch)

    total = sum(run.cost_usd or 0 for run in Run.objects.filter(batch=batch))
    assert "3 / 3" in text
    assert f"${total:.3f}".rstrip("0").rstrip(".") in text
    for run in Run.objects.filter(batch=batch):
        assert reverse("runs:detail", args=[team.project.slug, run.pk]) in text


def test_it_groups_the_errors(editor: Client, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=context_length&message=Too+long.", slug="short")
    batch = make_batch(team, 3, "short")
    work()

    (problem,) = editor.get(url(team, "detail", batch)).context["problems"]

    assert (problem.kind, problem.count, problem.example) == ("context_length", 3, "Too long.")
    assert problem.advice


def test_it_shows_the_runs_of_one_status(editor: Client, team: Team) -> None:
    batch = make_batch(team, 2)
    work()

    answer = editor.get(url(team, "detail", batch), {"status": "failed"})

    assert answer.context["rows"] == []
    assert len(editor.get(url(team, "detail", batch), {"status": "succeeded"}).context["rows"]) == 2


def test_it_renews_itself_until_the_end(editor: Client, team: Team) -> None:
    batch = make_batch(team, 2)
    own = {**HTMX, "HX-Trigger": "batch-body"}
    assert 'hx-trigger="every 3s"' in page(editor, team, batch)
    assert page(editor, team, batch, headers=own).strip().startswith('<div class="stack-lg" id="batch-body"')

    work()

    assert editor.get(url(team, "detail", batch), headers=own)["HX-Refresh"] == "true"
    assert "every 3s" not in page(editor, team, batch)


def test_it_pauses_and_resumes(editor: Client, team: Team) -> None:
    batch = make_batch(team, 2)

    text = editor.post(url(team, "pause", batch), follow=True).content.decode()
    work()

    assert "Paused" in text
    assert url(team, "resume", batch) in text
    assert set(Run.objects.filter(batch=batch).values_list("status", flat=True)) == {"queued"}
    editor.post(url(team, "resume", batch))
    work()
    assert set(Run.objects.filter(batch=batch).values_list("status", flat=True)) == {"succeeded"}


def test_it_cancels_what_has_not_ended(editor: Client, team: Team) -> None:
    batch = make_batch(team, 2)
    assert "data-confirm=" in page(editor, team, batch)

    text = editor.post(url(team, "cancel", batch), follow=True).content.decode()

    assert "Runs that had ended keep their results." in text
    assert set(Run.objects.filter(batch=batch).values_list("status", flat=True)) == {"cancelled"}
    assert "This batch was cancelled." in editor.post(url(team, "resume", batch), follow=True).content.decode()


def test_it_lets_no_viewer_change_a_batch(editor: Client, team: Team) -> None:
    batch = make_batch(team, 1)
    editor.force_login(team.viewer)

    assert url(team, "cancel", batch) not in page(editor, team, batch)
    for name in ("pause", "resume", "cancel"):
        assert editor.post(url(team, name, batch)).status_code == 403


def test_it_is_not_there_for_others(editor: Client, team: Team) -> None:
    batch = make_batch(team, 1)
    editor.force_login(team.outsider)

    assert editor.get(url(team, "detail", batch)).status_code == 404
    assert editor.post(reverse("runs:batch-cancel", args=[team.elsewhere.slug, batch.pk])).status_code == 404


def test_it_says_that_no_worker_is_there(editor: Client, team: Team) -> None:
    assert "No worker serves the queue “api”" in page(editor, team, make_batch(team, 1))


def test_it_tells_the_pace_and_the_time_left(editor: Client, team: Team) -> None:
    batch = make_batch(team, 10)
    now = timezone.now()
    for run in Run.objects.filter(batch=batch)[:6]:
        Run.objects.filter(pk=run.pk).update(status="succeeded", started_at=now, ended_at=now)

    (progress,) = progress_of([batch])
    pace = pace_of(progress)

    assert pace.per_minute == 6
    assert pace.left == dt.timedelta(seconds=40)


def test_it_exports_the_batches(editor: Client, team: Team) -> None:
    batch = make_batch(team, 2)
    work()

    answer: Any = editor.get(reverse("runs:batch-list-csv", args=[team.project.slug]))
    (row,) = csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig")))

    assert row["id"] == str(batch.pk)
    assert (row["total"], row["succeeded"], row["failed"]) == ("2", "2", "0")


def test_it_costs_as_many_queries_for_many_batches_as_for_one(
    editor: Client, team: Team, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    where = reverse("runs:batch-list", args=[team.project.slug])
    make_batch(team, 1)
    editor.get(where, headers=HTMX)
    with django_assert_max_num_queries(6) as one:
        editor.get(where, headers=HTMX)
    for _ in range(9):
        make_batch(team, 1)
    with django_assert_max_num_queries(len(one.captured_queries)):
        editor.get(where, headers=HTMX)
