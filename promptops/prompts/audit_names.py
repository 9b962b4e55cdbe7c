"""What the audit page calls the objects of this app (``settings.AUDIT_NAMES``)."""

from __future__ import annotations

from django.urls import reverse

from promptops.accounts.models import Project
from promptops.prompts.querysets import prompts_of


def prompts(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (name, page) of prompts, archived ones too."""
    return {
        str(one.pk): (one.slug, reverse("prompts:detail", args=[project.slug, one.slug]))
        for one in prompts_of(project, archived=None).filter(pk__in=ids)
    }
