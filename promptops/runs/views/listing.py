"""The list of runs, of a project or of one prompt: filters, pages, CSV. It renews itself while something runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.db.models.functions import Left
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, can
from promptops.accounts.querysets import tokens_of
from promptops.core.csv_export import csv_response
from promptops.core.htmx import is_fragment, render
from promptops.core.pagination import page_of
from promptops.prompts.models import Prompt
from promptops.prompts.views.access import prompt_view
from promptops.prompts.views.versions import page_context
from promptops.runs.models import Run, RunPayload, Status
from promptops.runs.views.filters import Filters, choices_for, filters_of

PAGE_SIZE = 50
COUNTED = 10_000
"""Beyond this the list says “more than”: counting millions of rows would take longer than reading the page."""
CSV_ROWS = 50_000
CSV_CHUNK = 2_000
SHOWN_OF_OUTPUT = 160
CSV_HEADER = (
    "id",
    "status",
    "prompt",
    "version",
    "label",
    "endpoint",
    "model",
    "asked_by",
    "token",
    "queued_at",
    "began_at",
    "ended_at",
    "latency_ms",
    "time_to_first_token_ms",
    "input_tokens",
    "output_tokens",
    "usage_estimated",
    "cost_usd",
    "cost_estimated",
    "finish_reason",
    "error_kind",
    "error",
    "attempts",
    "batch",
)


@dataclass(frozen=True)
class RunRow:
    """A run's line in a list: with the beginning of what came out, and who asked."""

    run: Run
    output: str
    token: str = ""

    @property
    def said(self) -> str:
        """The beginning of the output, or what went wrong."""
        return str((self.run.error or {}).get("message", "")) if self.run.status == Status.FAILED else self.output


@require_safe
@project_view(Permission.READ)
def run_list(request: ProjectRequest) -> HttpResponse:
    """The runs of the project; to htmx, the table."""
    filters = filters_of(request.GET)
    context = table_context(request, filters)
    if is_fragment(request):
        return render(request, "runs/table.html", context)
    return render(request, "runs/list.html", context | choices_for(request.project))


@require_safe
@prompt_view(Permission.READ)
def prompt_runs(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """The runs of one prompt, in its tabs."""
    context = table_context(request, filters_of(request.GET), prompt=prompt.slug)
    context |= page_context(request, prompt, "runs")
    if is_fragment(request):
        return render(request, "runs/table.html", context)
    return render(request, "runs/prompt_runs.html", context | choices_for(request.project))


@require_safe
@project_view(Permission.READ)
def run_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """The list with the same filters as CSV: the first 50,000 rows, read as they are sent."""
    runs = filters_of(request.GET).runs(request.project)[:CSV_ROWS]
    return csv_response(f"runs-{request.project.slug}", CSV_HEADER, _csv_rows(request.project, runs))


def table_context(request: ProjectRequest, asked: Filters, **fixed: str) -> dict[str, Any]:
    """What ``runs/table.html`` shows; ``fixed`` filters are those of the page, not of the reader."""
    filters = replace(asked, **fixed)
    runs = filters.runs(request.project)
    page = page_of(runs, order=filters.order, cursor=filters.cursor, limit=PAGE_SIZE)
    count = runs.order_by()[: COUNTED + 1].count()
    query = request.GET.copy()
    query.pop("cursor", None)
    for name, value in fixed.items():
        query[name] = value
    csv_url = reverse("runs:list-csv", args=[request.project.slug])
    return {
        "filters": filters,
        "narrowed": asked.any,
        "sort": filters.sort,
        "table_target": "#run-table",
        "rows": rows_of(request.project, page.items),
        "next_cursor": page.next,
        "count": min(count, COUNTED),
        "count_is_least": count > COUNTED,
        "something_runs": any(not Status(run.status).is_terminal for run in page.items),
        "csv_url": f"{csv_url}?{query.urlencode()}",
        "may_run": can(request.actor, request.project, Permission.RUN),
    }


def rows_of(project: Project, runs: Iterable[Run]) -> list[RunRow]:
    """The lines of these runs, in two queries whatever their number."""
    runs = list(runs)
    payloads = RunPayload.objects.filter(run_id__in=[run.pk for run in runs])
    outputs = dict(payloads.annotate(start=Left("output", SHOWN_OF_OUTPUT)).values_list("run_id", "start"))
    tokens = _token_names(project, runs)
    return [RunRow(run, outputs.get(run.pk) or "", tokens.get(run.token_id or 0, "")) for run in runs]


def _token_names(project: Project, runs: list[Run]) -> dict[int, str]:
    ids = {run.token_id for run in runs if run.token_id is not None}
    return dict(tokens_of(project).filter(pk__in=ids).values_list("pk", "name")) if ids else {}


def _csv_rows(project: Project, runs: Any) -> Iterator[list[Any]]:
    tokens = dict(tokens_of(project).values_list("pk", "name"))
    for run in runs.iterator(chunk_size=CSV_CHUNK):
        error = run.error or {}
        yield [
            run.pk,
            run.status,
            run.prompt.slug if run.prompt else None,
            run.version.number if run.version else None,
            run.label,
            run.endpoint.slug,
            run.response_model or run.request_model,
            run.actor_user.name if run.actor_user else None,
            tokens.get(run.token_id),
            run.created_at,
            run.started_at,
            run.ended_at,
            run.latency_ms,
            run.time_to_first_token_ms,
            run.input_tokens,
            run.output_tokens,
            run.usage_estimated,
            run.cost_usd,
            run.cost_estimated,
            run.finish_reason,
            error.get("kind"),
            error.get("message"),
            run.attempt_count,
            run.batch_id,
        ]
