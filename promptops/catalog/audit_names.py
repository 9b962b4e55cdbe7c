"""What the audit page calls the objects of this app (``settings.AUDIT_NAMES``)."""

from __future__ import annotations

from django.urls import reverse

from promptops.accounts.models import Project
from promptops.catalog.querysets import credentials_of, endpoints_of


def endpoints(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (name, page) of endpoints, archived ones too."""
    return {
        str(one.pk): (one.slug, reverse("catalog:endpoint-detail", args=[project.slug, one.slug]))
        for one in endpoints_of(project, archived=None).filter(pk__in=ids)
    }


def credentials(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (name, page) of credentials, archived ones too."""
    page = reverse("catalog:credential-list", args=[project.slug])
    return {str(one.pk): (one.name, page) for one in credentials_of(project, archived=None).filter(pk__in=ids)}
