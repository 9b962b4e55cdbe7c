"""What was sent to a webhook, and what it answered."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.accounts.views.tables import CSV_ROWS
from promptops.core.csv_export import csv_response
from promptops.core.errors import Conflict
from promptops.core.htmx import redirect, render
from promptops.core.pagination import page_of
from promptops.notifications import services
from promptops.notifications.models import Delivery, Webhook
from promptops.notifications.querysets import deliveries_of
from promptops.notifications.selectors import get_delivery, get_webhook

PAGE_SIZE = 20


@require_safe
@project_view(Permission.ADMIN)
def delivery_list(request: ProjectRequest, pk: int) -> HttpResponse:
    """The log alone: what the webhook's page asks for while something is on its way, and to filter."""
    found = get_webhook(request.project, pk)
    return render(request, "notifications/deliveries.html#log", {"webhook": found, **log_context(request, found)})


@require_safe
@project_view(Permission.ADMIN)
def delivery_list_csv(request: ProjectRequest, pk: int) -> HttpResponseBase:
    found = get_webhook(request.project, pk)
    header = ["id", "event_id", "event", "status", "response_status", "duration_ms", "attempts", "error", "created_at"]
    return csv_response(f"deliveries-{found.pk}", [*header, "ended_at"], _csv_rows(_found(request, found)))


@require_safe
@project_view(Permission.ADMIN)
def delivery(request: ProjectRequest, pk: int, delivery_id: uuid.UUID) -> HttpResponse:
    """One delivery: what was sent, and every attempt."""
    found = get_delivery(get_webhook(request.project, pk), delivery_id)
    context = {
        "webhook": found.webhook,
        "delivery": found,
        "attempts": found.log.order_by("-number"),
        "body": json.dumps(json.loads(found.event.body), indent=2, ensure_ascii=False),
    }
    return render(request, "notifications/delivery.html", context)


@require_POST
@project_view(Permission.ADMIN)
def delivery_redeliver(request: ProjectRequest, pk: int, delivery_id: uuid.UUID) -> HttpResponse:
    """Send it again, now."""
    found = get_delivery(get_webhook(request.project, pk), delivery_id)
    try:
        sent = services.redeliver(request.actor, found)
    except Conflict as error:
        messages.warning(request, error.detail)
    else:
        if sent.status == Delivery.Status.DELIVERED:
            messages.success(request, _("Delivered: it answered %d.") % (sent.response_status or 0))
        else:
            messages.error(request, _("Not delivered. %s It is tried again for a day.") % sent.error)
    return redirect(request, "notifications:delivery", request.project.slug, pk, delivery_id)


def log_context(request: HttpRequest, webhook: Webhook) -> dict[str, Any]:
    """Return what the log of a webhook shows: one page of its deliveries."""
    page = page_of(_found(request, webhook), order=("-id",), cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    slug = webhook.project.slug
    csv = reverse("notifications:deliveries-csv", args=[slug, webhook.pk])
    return {
        "deliveries": page.items,
        "next_cursor": page.next,
        "status": _status(request),
        "statuses": Delivery.Status.choices,
        "csv_url": f"{csv}?{request.GET.urlencode()}",
        "on_their_way": any(one.status == Delivery.Status.PENDING and one.tries == 0 for one in page.items),
        "none_at_all": not page.items and not deliveries_of(webhook).exists(),
    }


def _status(request: HttpRequest) -> str:
    asked = request.GET.get("status", "")
    return asked if asked in Delivery.Status.values else ""


def _found(request: HttpRequest, webhook: Webhook) -> QuerySet[Delivery]:
    rows = deliveries_of(webhook)
    status = _status(request)
    return rows.filter(status=status) if status else rows


def _csv_rows(rows: QuerySet[Delivery]) -> Iterator[list[Any]]:
    for one in rows[:CSV_ROWS]:
        yield [
            one.pk,
            one.event_id,
            one.event.type,
            one.status,
            one.response_status,
            one.duration_ms,
            one.attempts,
            one.error,
            one.created_at,
            one.ended_at,
        ]
