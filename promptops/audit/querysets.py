"""Reading the audit log of one chain."""

from __future__ import annotations

import datetime as dt

from django.db.models import QuerySet

from promptops.audit.models import INSTALLATION, AuditEvent


def events_of(
    project_id: int | None,
    *,
    action: str = "",
    target_kind: str = "",
    target_id: str = "",
    user_id: int | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> QuerySet[AuditEvent]:
    """Events of a project's chain (None: the installation's), newest first, narrowed by what is given.

    ``user_id`` is the person behind the act, also where a token did it; ``since`` is included, ``until`` is not.
    """
    events = AuditEvent.objects.filter(chain=INSTALLATION if project_id is None else project_id)
    wanted = {
        "action": action,
        "target_kind": target_kind,
        "target_id": target_id,
        "user_id": user_id,
        "at__gte": since,
        "at__lt": until,
    }
    given = {name: value for name, value in wanted.items() if value not in ("", None)}
    return events.filter(**given).select_related("link").order_by("-id")
