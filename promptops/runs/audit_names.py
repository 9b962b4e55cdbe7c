"""What the audit page calls the objects of this app (``settings.AUDIT_NAMES``)."""

from __future__ import annotations

from django.urls import reverse

from promptops.accounts.models import Project
from promptops.runs.querysets import batches_of


def batches(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (name, page) of batches."""
    return {
        str(one.pk): (str(one.pk), reverse("runs:batch-detail", args=[project.slug, one.pk]))
        for one in batches_of(project).filter(pk__in=ids)
    }
