"""Reading the audit log of one chain."""

from __future__ import annotations

from django.db.models import QuerySet

from promptops.audit.models import INSTALLATION, AuditEvent


def events_of(
    project_id: int | None, *, action: str = "", target_kind: str = "", target_id: str = ""
) -> QuerySet[AuditEvent]:
    """Events of a project's chain (None: the installation's), newest first, narrowed by what is not empty."""
    events = AuditEvent.objects.filter(chain=INSTALLATION if project_id is None else project_id)
    wanted = {"action": action, "target_kind": target_kind, "target_id": target_id}
    return (
        events.filter(**{name: value for name, value in wanted.items() if value}).select_related("link").order_by("-id")
    )
