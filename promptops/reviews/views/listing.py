"""The list of change requests, and what the project's home shows of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission, can
from promptops.core.csv_export import csv_response
from promptops.core.htmx import render
from promptops.core.pagination import page_of
from promptops.prompts.models import Prompt
from promptops.prompts.querysets import prompts_of
from promptops.reviews.models import ChangeRequest
from promptops.reviews.presenters import STATE_ICONS
from promptops.reviews.querysets import changes_of
from promptops.reviews.selectors import search_changes
from promptops.reviews.waiting import waiting_for

PAGE_SIZE = 50
HOME_SHOWN = 6
PROMPTS_OFFERED = 300
SHOWS = ("waiting", "mine", "open", "merged", "all")


@dataclass(frozen=True)
class Filters:
    """What the address asks for."""

    show: str
    prompt: str
    label: str

    @property
    def is_narrowed(self) -> bool:
        return bool(self.prompt or self.label)


@require_safe
@project_view(Permission.READ)
def change_list(request: ProjectRequest) -> HttpResponse:
    """Change requests, the last touched first: ``?show=waiting|mine|open|merged|all&prompt=&label=``."""
    filters = _filters(request)
    page = page_of(
        _found(request, filters), order=["-updated_at", "-id"], cursor=request.GET.get("cursor"), limit=PAGE_SIZE
    )
    labels = changes_of(request.project).order_by("label").values_list("label", flat=True).distinct()
    query = request.GET.urlencode()
    context = {
        "filters": filters,
        "rows": _rows(page.items),
        "next_cursor": page.next,
        "waiting_count": waiting_for(request.project, request.user).count(),
        "shows": _shows(),
        "prompt_slugs": prompts_of(request.project).order_by("slug").values_list("slug", flat=True)[:PROMPTS_OFFERED],
        "labels": list(labels),
        "none_at_all": not labels,
        "may_write": can(request.actor, request.project, Permission.WRITE),
        "csv_url": reverse("reviews:list-csv", args=[request.project.slug]) + (f"?{query}" if query else ""),
    }
    return render(request, "reviews/list.html#table", context)


@require_safe
@project_view(Permission.READ)
def change_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """What the list shows, all of it, as CSV."""
    header = ["number", "title", "prompt", "label", "from", "to", "state", "author", "proposed", "closed"]
    rows = (
        [
            one.number,
            one.title,
            one.prompt.slug,
            one.label,
            one.replaces.number if one.replaces else None,
            one.candidate.number,
            one.state,
            one.author_name,
            one.created_at,
            one.closed_at,
        ]
        for one in list(_found(request, _filters(request)))
    )
    return csv_response(f"{request.project.slug}-changes", header, rows)


@require_safe
@project_view(Permission.READ)
def home_panel(request: ProjectRequest) -> HttpResponse:
    """What waits for the person; nothing where nobody proposed anything yet."""
    waiting = list(waiting_for(request.project, request.user)[: HOME_SHOWN + 1])
    context = {
        "rows": _rows(waiting[:HOME_SHOWN]),
        "more": len(waiting) > HOME_SHOWN,
        "open_count": changes_of(request.project).filter(state__in=ChangeRequest.UNDECIDED).count(),
        "me": request.user,
    }
    return render(request, "reviews/home_panel.html", context)


def _filters(request: ProjectRequest) -> Filters:
    show = request.GET.get("show", "")
    prompt, label = (request.GET.get(name, "").strip().replace("\0", "")[:100] for name in ("prompt", "label"))
    return Filters(show if show in SHOWS else "open", prompt, label)


def _found(request: ProjectRequest, filters: Filters) -> QuerySet[ChangeRequest]:
    project = request.project
    prompt: Prompt | None = None
    if filters.prompt:
        prompt = prompts_of(project, archived=None).filter(slug=filters.prompt).first()
        if prompt is None:
            return changes_of(project).none()
    if filters.show == "waiting":
        found = waiting_for(project, request.user)
        found = found.filter(prompt=prompt) if prompt else found
        return found.filter(label=filters.label) if filters.label else found
    states: dict[str, tuple[str, ...]] = {"open": ChangeRequest.UNDECIDED, "merged": (ChangeRequest.State.MERGED,)}
    return search_changes(
        project,
        prompt=prompt,
        label=filters.label,
        states=states.get(filters.show, ()),
        author_id=request.user.pk if filters.show == "mine" else None,
    )


def _shows() -> list[tuple[str, str]]:
    texts = {
        "waiting": _("Waiting for me"),
        "mine": _("Mine"),
        "open": _("Open"),
        "merged": _("Merged"),
        "all": _("All"),
    }
    return [(key, texts[key]) for key in SHOWS]


def _rows(changes: Any) -> list[tuple[ChangeRequest, str]]:
    return [(one, STATE_ICONS[ChangeRequest.State(one.state)]) for one in changes]
