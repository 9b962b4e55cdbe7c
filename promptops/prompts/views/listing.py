"""The list of a project's prompts: folders, tags, search as you type, CSV; and the search of the command palette."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, DecimalField, IntegerField, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce, NullIf
from django.http import HttpResponse, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, can
from promptops.core.csv_export import csv_response
from promptops.core.htmx import render
from promptops.core.pagination import page_of
from promptops.prompts.dependents import includable_prompts
from promptops.prompts.models import Draft, Prompt, PromptActivity
from promptops.prompts.presenters import PromptRow, folder_tree, frequent_tags, heading_text
from promptops.prompts.querysets import drafts_of, prompts_of
from promptops.prompts.selectors import Activity, activity_of, activity_since, live_labels, search_prompts

SORTS = {
    "slug": "slug",
    "runs": "week_runs",
    "failed": "week_failed",
    "cost": "week_cost",
    "updated": "updated_at",
}
# What the week's activity is sorted by. The failed share is in millionths: whole numbers, which a cursor keeps exactly.
WEEK: dict[str, tuple[Any, Any]] = {
    "week_runs": (Sum("runs"), IntegerField()),
    "week_failed": (Sum("failed") * 1_000_000 / NullIf(Sum("runs"), 0), IntegerField()),
    "week_cost": (Sum("cost_usd"), DecimalField(max_digits=20, decimal_places=10)),
}
DEFAULT_SORT = "-updated"
PAGE_SIZE = 50
CSV_ROWS = 10_000
CSV_CHUNK = 500
DRAFTS_SHOWN = 5
FOUND_SHOWN = 8


@dataclass(frozen=True)
class Filters:
    """What the URL asks for. Nonsense in it is ignored, so that an edited link still shows a list."""

    q: str
    folder: str
    tag: str
    kind: str
    archived: bool
    sort: str
    cursor: str

    @property
    def any(self) -> bool:
        return bool(self.q or self.folder or self.tag or self.kind)

    @property
    def order(self) -> list[str]:
        sign = "-" if self.sort.startswith("-") else ""
        return [f"{sign}{self.column}", f"{sign}id"]

    @property
    def column(self) -> str:
        return SORTS[self.sort.removeprefix("-")]


def filters_of(request: ProjectRequest) -> Filters:
    """Read the filters from the query."""
    given = request.GET
    sort = given.get("sort", "")
    kind = given.get("kind", "")
    return Filters(
        q=given.get("q", "").replace("\x00", "").strip()[:200],
        folder=given.get("folder", "").replace("\x00", "").strip("/")[:200],
        tag=given.get("tag", "").replace("\x00", "")[:50],
        kind=kind if kind in Prompt.Kind.values else "",
        archived=given.get("archived") == "1",
        sort=sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT,
        cursor=given.get("cursor", ""),
    )


@require_safe
@project_view(Permission.READ)
def prompt_list(request: ProjectRequest) -> HttpResponse:
    """The page; for htmx, the folders and the table."""
    filters = filters_of(request)
    found = _search(request.project, filters)
    page = page_of(
        _with_sort_column(found, filters.column), order=filters.order, cursor=filters.cursor, limit=PAGE_SIZE
    )
    everything = prompts_of(request.project, archived=filters.archived)
    folders = dict(everything.exclude(folder="").values_list("folder").annotate(Count("pk")).order_by())
    tags = everything.exclude(tags=[]).values_list("tags", flat=True)
    may_write = can(request.actor, request.project, Permission.WRITE)
    context: dict[str, Any] = {
        "filters": filters,
        "sort": filters.sort,
        "table_target": "#prompt-browser",
        "rows": _rows(page.items),
        "next_cursor": page.next,
        "found_count": found.count() if page.next or filters.cursor else len(page.items),
        "folders": folder_tree(folders, filters.folder),
        "tags": frequent_tags(tags, filters.tag),
        "kinds": Prompt.Kind.choices,
        "may_write": may_write,
        "new_drafts": _new_drafts(request) if may_write and not filters.archived else [],
        "csv_url": f"{reverse('prompts:list-csv', args=[request.project.slug])}?{request.GET.urlencode()}",
    }
    return render(request, "prompts/list.html#browser", context)


@require_safe
@project_view(Permission.READ)
def prompt_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """The list with the same filters, as CSV (at most 10,000 rows)."""
    filters = filters_of(request)
    found = _with_sort_column(_search(request.project, filters), filters.column).order_by(*filters.order)[:CSV_ROWS]
    header = [
        "slug",
        "folder",
        "kind",
        "description",
        "tags",
        "labels",
        "newest_version",
        "runs_7_days",
        "failed_7_days",
        "cost_usd_7_days",
        "updated_at",
        "archived_at",
    ]
    return csv_response(f"prompts-{request.project.slug}", header, _csv_rows(list(found)))


@require_safe
@project_view(Permission.READ)
def search(request: ProjectRequest) -> JsonResponse:
    """What the command palette finds: prompts, a slug that begins with the words first."""
    text = request.GET.get("q", "").replace("\x00", "").strip()[:200]
    found = list(search_prompts(request.project, text=text).order_by("-updated_at")[: FOUND_SHOWN * 4]) if text else []
    found.sort(key=lambda prompt: not prompt.slug.startswith(text.lower()))
    items = [
        {
            "label": prompt.slug,
            "url": reverse("prompts:detail", args=[request.project.slug, prompt.slug]),
            "hint": prompt.folder or _("Prompt"),
            "icon": "message-2-code",
        }
        for prompt in found[:FOUND_SHOWN]
    ]
    return JsonResponse({"items": items})


@require_safe
@project_view(Permission.READ)
def includable(request: ProjectRequest) -> HttpResponseBase:
    """What the editor offers where another prompt's name is typed: ``?kind=text&syntax=jinja&for=<its own slug>``."""
    kind, syntax = request.GET.get("kind", ""), request.GET.get("syntax", "")
    found = includable_prompts(request.project, kind=kind, syntax=syntax, but=request.GET.get("for", ""))
    return JsonResponse({"items": [{"name": name, "detail": f"v{number}"} for name, number in found]})


def _search(project: Project, filters: Filters) -> QuerySet[Prompt]:
    return search_prompts(
        project,
        text=filters.q,
        folder=filters.folder or None,
        tag=filters.tag,
        archived=filters.archived,
        kind=filters.kind,
    )


def _with_sort_column(prompts: QuerySet[Prompt], column: str) -> QuerySet[Prompt]:
    """Add the week's sum by which to sort, where one is asked for; the shown numbers come from ``activity_of``."""
    if column not in WEEK:
        return prompts
    total, field = WEEK[column]
    sums = PromptActivity.objects.filter(prompt=OuterRef("pk"), day__gte=activity_since()).values("prompt")
    week = Subquery(sums.annotate(total=total).values("total"))
    return prompts.annotate(**{column: Coalesce(week, Value(0), output_field=field)})


def _rows(prompts: Any) -> list[PromptRow]:
    ids = [prompt.pk for prompt in prompts]
    labels, activity = live_labels(ids), activity_of(ids)
    return [PromptRow(prompt, labels.get(prompt.pk, []), activity.get(prompt.pk, Activity())) for prompt in prompts]


def _new_drafts(request: ProjectRequest) -> list[tuple[Draft, str]]:
    drafts = drafts_of(request.project, owner_id=request.user.pk).filter(prompt=None)
    return [(draft, heading_text(draft)) for draft in drafts[:DRAFTS_SHOWN]]


def _csv_rows(prompts: list[Prompt]) -> Iterator[list[Any]]:
    for start in range(0, len(prompts), CSV_CHUNK):
        for row in _rows(prompts[start : start + CSV_CHUNK]):
            prompt = row.prompt
            yield [
                prompt.slug,
                prompt.folder,
                prompt.kind,
                prompt.description,
                ", ".join(prompt.tags),
                "; ".join(f"{label.name}={label.version.number if label.version else ''}" for label in row.labels),
                prompt.last_number,
                row.activity.runs,
                row.activity.failed,
                row.activity.cost_usd,
                prompt.updated_at,
                prompt.archived_at,
            ]
