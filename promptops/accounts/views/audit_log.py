"""The audit log: who did what to which object, and whether the chain holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.audit_names import named_events, people_named
from promptops.accounts.policies import Permission
from promptops.accounts.views.tables import PAGE_SIZE, words_of
from promptops.audit.models import AuditEvent
from promptops.audit.querysets import events_of
from promptops.audit.services import verify
from promptops.core.csv_export import csv_response
from promptops.core.htmx import render
from promptops.core.pagination import MAX_PAGE_SIZE, page_of

RECENT = 1000  # so many events are looked at for what the filters offer
PEOPLE_OFFERED = 200
REASONS = {
    "event missing": _("An event that stood here is gone."),
    "hash does not match": _("This event does not say any more what it said when it was written."),
    "columns differ from payload": _("The columns of this event were changed; its hashed text says something else."),
    "the end of the chain is missing": _("The newest events are gone."),
}


@dataclass(frozen=True)
class Filters:
    """What the URL asks for; nonsense in it is ignored. Times are UTC."""

    action: str
    kind: str
    object: str
    person: str
    since: dt.datetime | None
    until: dt.datetime | None

    @property
    def any(self) -> bool:
        return any([self.action, self.kind, self.object, self.person, self.since, self.until])

    def events(self, request: ProjectRequest) -> Any:
        return events_of(
            request.project.pk,
            action=self.action,
            target_kind=self.kind,
            target_id=self.object,
            user_id=int(self.person) if self.person else None,
            since=self.since,
            until=self.until,
        )


def filters_of(request: ProjectRequest) -> Filters:
    person = words_of(request, "person")
    return Filters(
        action=words_of(request, "action", longest=60),
        kind=words_of(request, "kind", longest=40),
        object=words_of(request, "object", longest=80),
        person=person if person.isascii() and person.isdecimal() and len(person) < 19 else "",
        since=_moment(request, "since"),
        until=_moment(request, "until"),
    )


@require_safe
@project_view(Permission.ADMIN)
def audit_log(request: ProjectRequest) -> HttpResponse:
    """The events, newest first, a page at a time."""
    filters = filters_of(request)
    page = page_of(filters.events(request), order=["-id"], cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    context = {
        "filters": filters,
        "events": named_events(request.project, page.items),
        "next_cursor": page.next,
        "csv_url": f"{reverse('accounts:audit-csv', args=[request.project.slug])}?{request.GET.urlencode()}",
        **_offers(request, filters),
    }
    return render(request, "accounts/audit.html#events", context)


def _offers(request: ProjectRequest, filters: Filters) -> dict[str, Any]:
    """What the filters offer: what happened lately, and by whom."""
    recent = events_of(request.project.pk).values_list("action", "target_kind", "user_id")[:RECENT]
    seen = list(recent)
    ids = {str(user) for _action, _kind, user in seen if user} | ({filters.person} if filters.person else set())
    people = sorted((named.name, pk) for pk, named in people_named(request.project, ids).items())
    return {
        "actions": sorted({action for action, _kind, _user in seen}),
        "kinds": sorted({kind for _action, kind, _user in seen}),
        "people": people[:PEOPLE_OFFERED],
    }


@require_safe
@project_view(Permission.ADMIN)
def audit_csv(request: ProjectRequest) -> HttpResponseBase:
    """Every event that the filters leave, as CSV: the whole log, for an auditor."""
    header = [
        "number",
        "at",
        "actor_kind",
        "actor_id",
        "actor",
        "user_id",
        "action",
        "target_kind",
        "target_id",
        "target",
        "detail",
        "hash",
    ]
    return csv_response(f"audit-{request.project.slug}", header, _csv_rows(request, filters_of(request)))


def _csv_rows(request: ProjectRequest, filters: Filters) -> Iterator[list[Any]]:
    cursor: str | None = None
    while True:
        page = page_of(filters.events(request), order=["-id"], cursor=cursor, limit=MAX_PAGE_SIZE)
        items: list[AuditEvent] = list(page.items)
        for one in named_events(request.project, items):
            event = one.event
            yield [
                one.number,
                event.at,
                event.actor_kind,
                event.actor_id,
                one.actor.name,
                event.user_id,
                event.action,
                event.target_kind,
                event.target_id,
                one.target.name,
                one.detail_json,
                one.hash,
            ]
        if page.next is None:
            return
        cursor = page.next


@never_cache
@require_safe
@project_view(Permission.ADMIN)
def audit_verify(request: ProjectRequest) -> HttpResponse:
    """Recompute the whole chain and say what was found."""
    found = verify(request.project.pk)
    context = {"found": found, "reason": REASONS.get(found.reason, found.reason), "at": timezone.now()}
    return render(request, "accounts/audit_verify.html#result", context)


def _moment(request: ProjectRequest, name: str) -> dt.datetime | None:
    try:
        moment = parse_datetime(words_of(request, name, longest=40))
    except ValueError:
        return None
    return timezone.make_aware(moment, dt.UTC) if moment and timezone.is_naive(moment) else moment
