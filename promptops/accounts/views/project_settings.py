"""A project's own settings: its name, slug and description."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from promptops.accounts import services
from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.forms import ProjectForm
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission
from promptops.core.errors import Invalid
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render


@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def project_settings(request: ProjectRequest) -> HttpResponse:
    """Rename a project. Its links change with the slug, so the browser goes on to the new ones."""
    project = request.project
    if request.method != "POST":
        shown = {"name": project.name, "slug": project.slug, "description": project.description}
        return _page(request, ProjectForm(initial=shown, renaming=True))
    form = ProjectForm(request.POST, renaming=True)
    if not form.is_valid():
        return _page(request, form, status=422)
    try:
        # A copy, so that a page with errors still shows the project as it is.
        changed = services.update_project(request.actor, Project.objects.get(pk=project.pk), **form.cleaned_data)
    except Invalid as error:
        put_errors(form, error)
        return _page(request, form, status=error.http_status)
    messages.success(request, _("The project is saved."))
    return redirect(request, "accounts:project-settings", changed.slug)


def _page(request: ProjectRequest, form: ProjectForm, *, status: int = 200) -> HttpResponse:
    call = f'curl -H "Authorization: Bearer $PROMPTOPS_TOKEN" \\\n  "{settings.PUBLIC_URL}/api/v1/me"'
    return render(request, "accounts/project_settings.html#form", {"form": form, "call": call}, status=status)
