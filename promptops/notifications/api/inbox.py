"""REST: the notifications of the person behind the token, within the token's project."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from ninja import Path, Query, Router

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.core.errors import NotFound
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, answers, listing
from promptops.notifications import schemas, services
from promptops.notifications.models import Notification
from promptops.notifications.presenters import told_of
from promptops.notifications.querysets import notifications_of

router = Router(tags=["Notifications"])


@router.get("/notifications", response=answers(ok=Listing[schemas.Notification]), summary="List notifications")
def list_notifications(request: ApiRequest, filters: Query[schemas.NotificationFilters]) -> dict[str, Any]:
    """What the token's maker is told in this project, newest first; empty where a command made the token."""
    rows = _own(request)
    if filters.unread:
        rows = rows.filter(read_at=None)
    return listing(page_of(rows, order=("-at", "-id"), cursor=filters.cursor, limit=filters.limit), as_json)


@router.post(
    "/notifications/{notification_id}/read",
    response=answers(404, ok=schemas.Notification),
    summary="Mark a notification read",
)
def read_notification(request: ApiRequest, notification_id: Path[int]) -> dict[str, Any]:
    """Doing it twice is no error."""
    require(request.actor, request.project, Permission.READ)
    one = _own(request).filter(pk=notification_id).first() if 0 < notification_id < 2**63 else None
    if one is None:
        raise NotFound(_("The token's maker has no notification %s in this project.") % notification_id)
    services.mark_read(one)
    return as_json(one)


def as_json(one: Notification) -> dict[str, Any]:
    """Return a notification as JSON."""
    return {
        "id": one.pk,
        "kind": one.kind,
        "text": told_of(one).text,
        "params": one.params,
        "url": settings.PUBLIC_URL + one.url,
        "times": one.times,
        "at": one.at,
        "read_at": one.read_at,
    }


def _own(request: ApiRequest) -> QuerySet[Notification]:
    if request.actor.user is None:
        return Notification.objects.none()
    return notifications_of(request.actor.user).filter(project=request.project)
