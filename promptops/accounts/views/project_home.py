"""The first page of a project."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.htmx import render


@require_safe
@project_view(Permission.READ)
def project_home(request: ProjectRequest) -> HttpResponse:
    return render(request, "accounts/project_home.html")
