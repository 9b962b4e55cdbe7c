"""The projects of a person: where “/” leads, the list, making one, switching."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from promptops.accounts import services
from promptops.accounts.access import LAST_PROJECT, UserRequest, user_view
from promptops.accounts.forms import ProjectForm
from promptops.accounts.querysets import memberships_of
from promptops.core.errors import AppError
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render

SWITCHER_SHOWS = 12


@require_safe
@user_view
def home(request: UserRequest) -> HttpResponse:
    """On to the project in which the person was last, to their only one, or to the list."""
    memberships = list(memberships_of(request.user))
    last = request.session.get(LAST_PROJECT)
    here = next((one for one in memberships if one.project_id == last), None)
    if here is None and len(memberships) == 1:
        here = memberships[0]
    if here is None:
        return HttpResponseRedirect(reverse("accounts:projects"))
    return HttpResponseRedirect(reverse("accounts:project-home", args=[here.project.slug]))


@require_safe
@user_view
def project_list(request: UserRequest) -> HttpResponse:
    """Every project of the person, with the role there and how many belong to it."""
    memberships = memberships_of(request.user).annotate(people=Count("project__memberships"))
    return render(request, "accounts/projects.html", {"memberships": memberships})


@require_safe
@user_view
def project_switcher(request: UserRequest) -> HttpResponse:
    """The menu in the sidebar."""
    memberships = list(memberships_of(request.user)[: SWITCHER_SHOWS + 1])
    context = {
        "memberships": memberships[:SWITCHER_SHOWS],
        "more": len(memberships) > SWITCHER_SHOWS,
        "current": request.GET.get("current", ""),
    }
    return render(request, "accounts/project_switcher.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@user_view
def project_create(request: UserRequest) -> HttpResponse:
    """The form of a new project; its maker becomes its owner."""
    if request.method != "POST":
        return render(request, "accounts/project_create.html", {"form": ProjectForm()})
    form = ProjectForm(request.POST)
    if not form.is_valid():
        return render(request, "accounts/project_create.html#form", {"form": form}, status=422)
    try:
        project = services.create_project(request.actor, **form.cleaned_data)
    except AppError as error:
        put_errors(form, error)
        return render(request, "accounts/project_create.html#form", {"form": form}, status=error.http_status)
    messages.success(request, _("The project “%s” is ready.") % project.name)
    return redirect(request, "accounts:project-home", project.slug)
