"""What the audit page calls the objects of this app (``settings.AUDIT_NAMES``)."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _

from promptops.accounts.models import Project
from promptops.reviews.querysets import changes_of, owner_rows_of, policies_of


def changes(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (name, page) of change requests."""
    return {
        str(one.pk): (str(one), reverse("reviews:detail", args=[project.slug, one.number]))
        for one in changes_of(project).filter(pk__in=ids)
    }


def policies(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (name, page) of label policies: the label, and where the policy holds."""
    found = policies_of(project).filter(pk__in=ids)
    page = reverse("reviews:policies", args=[project.slug])
    return {str(one.pk): (f"{one.label} · {one.prompt or one.folder or _('all prompts')}", page) for one in found}


def owners(project: Project, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Return id → (name, page) of lists of owners: the folder."""
    page = reverse("reviews:policies", args=[project.slug])
    return {str(one.pk): (one.folder or _("all folders"), page) for one in owner_rows_of(project).filter(pk__in=ids)}
