"""Telling webhooks: what happened becomes one event, and a delivery for each webhook that wants it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project
from promptops.core.ids import uuid7
from promptops.core.rest import dumps
from promptops.notifications.doorbell import ring_on_commit
from promptops.notifications.kinds import event_types
from promptops.notifications.models import Delivery, Event

TRY_FOR = dt.timedelta(days=1)

# Held until the transaction ends: a webhook that is deleted meanwhile must not undo what it is told of.
_WHO_WANT = """
SELECT id FROM notifications_webhook WHERE project_id = %s AND is_active AND events @> ARRAY[%s]::varchar[]
ORDER BY id FOR KEY SHARE
"""


def emit(project: Project, type: str, payload: Mapping[str, Any], *, url: str, actor: Actor) -> Event | None:  # noqa: A002
    """Tell the project's webhooks of something, in the transaction in which it happened; None where none wants it.

    Args:
        type: a key of ``event_types()``, such as ``label.moved``.
        payload: JSON with the ids, slugs and numbers of what it is about; no prompt texts, no secrets.
        url: the path of its page; webhooks get the whole address.

    Raises:
        RuntimeError: no transaction is open, so the news and what happened could part.
        LookupError: nobody registered that type.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("emit needs the transaction of what it tells of")
    if type not in event_types():
        raise LookupError(f"There is no type of event {type!r}; see settings.NOTICES.")
    webhooks = _who_want(project, type)
    if not webhooks:
        return None
    event = make_event(project, type, payload, url=url, actor=actor)
    give_up_at = event.at + TRY_FOR
    Delivery.objects.bulk_create([Delivery(webhook_id=pk, event=event, give_up_at=give_up_at) for pk in webhooks])
    ring_on_commit()
    return event


def _who_want(project: Project, type: str) -> list[int]:  # noqa: A002
    with connection.cursor() as cursor:
        cursor.execute(_WHO_WANT, [project.pk, type])
        return [pk for (pk,) in cursor.fetchall()]


def make_event(project: Project, type: str, payload: Mapping[str, Any], *, url: str, actor: Actor) -> Event:  # noqa: A002
    """Store an event; who sends it is up to the caller."""
    event = Event(id=uuid7(), project=project, type=type, at=timezone.now())
    event.body = dumps(
        {
            "id": event.pk,
            "type": type,
            "at": event.at,
            "project": {"slug": project.slug, "name": project.name},
            "actor": {"kind": actor.kind, "id": actor.id, "user_id": actor.user_id, "name": actor.name},
            "url": settings.PUBLIC_URL + url,
            "data": payload,
        }
    )
    event.save(force_insert=True)
    return event
