"""Whose notifications, and which project's webhooks."""

from __future__ import annotations

from django.db.models import F, QuerySet

from promptops.accounts.models import Project, User
from promptops.notifications.models import Delivery, Notification, Webhook


def notifications_of(user: User) -> QuerySet[Notification]:
    """What a person may read: of the projects to which they belong today."""
    return readable(Notification.objects.filter(user=user))


def readable(rows: QuerySet[Notification]) -> QuerySet[Notification]:
    """Leave out what its person may not see any more: of projects that they left, or that are archived."""
    still = rows.filter(project__archived_at=None, project__memberships__user=F("user"), user__is_active=True)
    return still.select_related("project", "user", "actor_user")


def webhooks_of(project: Project) -> QuerySet[Webhook]:
    """Webhooks of a project, newest first."""
    return Webhook.objects.filter(project=project).select_related("project", "created_by").order_by("-id")


def deliveries_of(webhook: Webhook) -> QuerySet[Delivery]:
    """Deliveries of a webhook, newest first."""
    return Delivery.objects.filter(webhook=webhook).select_related("event", "webhook__project").order_by("-id")
