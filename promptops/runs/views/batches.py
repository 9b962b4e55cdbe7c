"""Batches: how far they are, what went wrong, and pausing, resuming and cancelling them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.actors import Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, can
from promptops.core.csv_export import csv_response
from promptops.core.errors import Conflict
from promptops.core.htmx import is_fragment, redirect, render
from promptops.core.pagination import page_of
from promptops.runs.liveness import QueueState, no_worker, queue_states
from promptops.runs.models import Batch, Status
from promptops.runs.progress import ended_at, pace_of, problems_of, progress_of, totals_of
from promptops.runs.querysets import batches_of
from promptops.runs.selectors import get_batch
from promptops.runs.services import cancel_batch, pause_batch, resume_batch
from promptops.runs.views.filters import filters_of
from promptops.runs.views.listing import table_context

PAGE_SIZE = 50
CSV_ROWS = 10_000
CSV_CHUNK = 200
CSV_HEADER = (
    "id",
    "prompt",
    "version",
    "label",
    "endpoint",
    "state",
    "started_by",
    "started_at",
    "total",
    "queued",
    "running",
    "succeeded",
    "failed",
    "cancelled",
    "blocked",
)


@require_safe
@project_view(Permission.READ)
def batch_list(request: ProjectRequest) -> HttpResponse:
    """Every batch of the project, newest first, with how far it is."""
    page = page_of(batches_of(request.project), order=["-id"], cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    rows = progress_of(page.items)
    context = {
        "rows": rows,
        "next_cursor": page.next,
        "something_runs": any(not row.is_over for row in rows),
        "csv_url": reverse("runs:batch-list-csv", args=[request.project.slug]),
    }
    return render(request, "runs/batches.html#table", context)


@require_safe
@project_view(Permission.READ)
def batch_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """Every batch as CSV (at most 10,000)."""
    return csv_response(f"batches-{request.project.slug}", CSV_HEADER, _csv_rows(request.project))


@require_safe
@project_view(Permission.READ)
def batch_detail(request: ProjectRequest, batch_id: uuid.UUID) -> HttpResponse:
    """One batch: progress, pace, costs, errors by kind, and its runs. To htmx: its body, or the table of its runs."""
    batch = get_batch(request.project, batch_id)
    context = table_context(request, filters_of(request.GET), batch=str(batch.pk))
    if is_fragment(request) and request.headers.get("HX-Target") == "run-table":
        return render(request, "runs/table.html", context)
    (progress,) = progress_of([batch])
    if is_fragment(request) and progress.is_over and request.headers.get("HX-Trigger") == "batch-body":
        # The page asked for itself once more, and the batch has ended: its buttons go too.
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    state = queue_states().get(batch.endpoint.queue, QueueState(batch.endpoint.queue))
    stuck = not progress.is_over and not progress.is_paused and not state.alive
    context |= {
        "batch": batch,
        "progress": progress,
        "pace": pace_of(progress),
        "totals": totals_of(batch),
        "problems": problems_of(batch) if progress.counts.failed else [],
        "ended_at": ended_at(batch) if progress.is_over else None,
        "waiting": no_worker(batch.endpoint.queue) if stuck else None,
        "may_run": can(request.actor, request.project, Permission.RUN),
        "statuses": [("", _("All"), progress.counts.total), *_by_status(progress.counts)],
    }
    return render(request, "runs/batch.html#body", context)


@require_POST
@project_view(Permission.RUN)
def batch_pause(request: ProjectRequest, batch_id: uuid.UUID) -> HttpResponse:
    """Let nothing more of it begin."""
    return _changed(request, batch_id, pause_batch, _("Paused. What is running goes on to its end."))


@require_POST
@project_view(Permission.RUN)
def batch_resume(request: ProjectRequest, batch_id: uuid.UUID) -> HttpResponse:
    """Go on."""
    return _changed(request, batch_id, resume_batch, _("The batch goes on."))


@require_POST
@project_view(Permission.RUN)
def batch_cancel(request: ProjectRequest, batch_id: uuid.UUID) -> HttpResponse:
    """Cancel what has not ended."""
    return _changed(request, batch_id, cancel_batch, _("Cancelled. Runs that had ended keep their results."))


def _changed(
    request: ProjectRequest, batch_id: uuid.UUID, change: Callable[[Actor, Batch], Batch], done: str
) -> HttpResponse:
    batch = get_batch(request.project, batch_id)
    try:
        change(request.actor, batch)
    except Conflict as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, done)
    return redirect(request, "runs:batch-detail", request.project.slug, batch.pk)


def _by_status(counts: Any) -> list[tuple[str, str, int]]:
    return [(status.value, str(status.label).capitalize(), getattr(counts, status.value)) for status in Status]


def _csv_rows(project: Project) -> Iterator[list[Any]]:
    batches = list(batches_of(project)[:CSV_ROWS])
    for start in range(0, len(batches), CSV_CHUNK):
        for row in progress_of(batches[start : start + CSV_CHUNK]):
            batch, counts = row.batch, row.counts
            yield [
                batch.pk,
                batch.prompt.slug,
                batch.version.number,
                batch.label,
                batch.endpoint.slug,
                batch.state,
                batch.created_by.name if batch.created_by else None,
                batch.created_at,
                batch.total,
                *(getattr(counts, status.value) for status in Status),
            ]
