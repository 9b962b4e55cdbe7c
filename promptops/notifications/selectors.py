"""Reads beyond one queryset."""

from __future__ import annotations

import uuid

from django.utils.translation import gettext as _

from promptops.accounts.models import Project, User
from promptops.core.errors import NotFound
from promptops.notifications.models import Delivery, Webhook
from promptops.notifications.querysets import deliveries_of, notifications_of, webhooks_of

COUNT_TO = 100


def unread_count(user: User, project: Project | None = None) -> int:
    """Return how many a person has not read; ``COUNT_TO`` stands for that many or more: nobody counts further."""
    unread = notifications_of(user).filter(read_at=None)
    if project is not None:
        unread = unread.filter(project=project)
    return unread.select_related(None).order_by()[:COUNT_TO].count()


def get_webhook(project: Project, pk: int) -> Webhook:
    """Return a webhook of the project. Raises NotFound."""
    found = webhooks_of(project).filter(pk=pk).first() if 0 < pk < 2**63 else None
    if found is None:
        raise NotFound(_("This project has no webhook %s.") % pk)
    return found


def get_delivery(webhook: Webhook, pk: uuid.UUID) -> Delivery:
    """Return a delivery of the webhook. Raises NotFound."""
    found = deliveries_of(webhook).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("This webhook has no delivery %s.") % pk)
    return found
