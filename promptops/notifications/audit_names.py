"""What the audit page calls the objects of this app (``settings.AUDIT_NAMES``)."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.urls import reverse

from promptops.accounts.models import Project
from promptops.notifications.querysets import webhooks_of


def webhooks(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (host, page) of webhooks; one that was deleted has neither."""
    return {
        str(one.pk): (
            urlsplit(one.url).hostname or str(one.pk),
            reverse("notifications:webhook", args=[project.slug, one.pk]),
        )
        for one in webhooks_of(project).filter(pk__in=ids)
    }
