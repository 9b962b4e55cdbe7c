"""The tenant's filter of this app's tables. Views and REST start from here, never from ``.objects``."""

from __future__ import annotations

from django.db.models import QuerySet

from promptops.accounts.models import Project
from promptops.catalog.models import Credential, Endpoint


def credentials_of(project: Project, *, archived: bool | None = False) -> QuerySet[Credential]:
    """Credentials of a project by name: living ones (False), archived ones (True), or both (None)."""
    credentials = Credential.objects.filter(project=project).select_related("created_by", "project")
    credentials = credentials.prefetch_related("endpoints").order_by("name", "pk")
    return credentials if archived is None else credentials.filter(archived_at__isnull=not archived)


def endpoints_of(project: Project, *, archived: bool | None = False) -> QuerySet[Endpoint]:
    """Endpoints of a project, the default first: living ones (False), archived ones (True), or both (None)."""
    endpoints = Endpoint.objects.filter(project=project).select_related("credential", "project")
    endpoints = endpoints.order_by("-is_default", "name", "pk")
    return endpoints if archived is None else endpoints.filter(archived_at__isnull=not archived)
