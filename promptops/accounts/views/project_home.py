"""The first page of a project: what needs one, and how things stand.

What the apps above know comes as panels that the page loads; this app does not import them.
"""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.audit_names import named_events
from promptops.accounts.getting_started import steps_for
from promptops.accounts.policies import Permission, can
from promptops.accounts.querysets import members_of
from promptops.audit.querysets import events_of
from promptops.core.htmx import render

PANELS = ("reviews:home-panel", "runs:home-panel", "prompts:home-panel")
MEMBERS_SHOWN = 8
EVENTS_SHOWN = 6


@require_safe
@project_view(Permission.READ)
def project_home(request: ProjectRequest) -> HttpResponse:
    """The first steps while there are any left, the panels, the people, and for admins the latest events."""
    project = request.project
    may_administer = can(request.actor, project, Permission.ADMIN)
    members = members_of(project)
    context = {
        "steps": steps_for(request.actor, project),
        "panels": [url for route in PANELS if (url := _url(route, project.slug))],
        "members": members[:MEMBERS_SHOWN],
        "member_count": members.count(),
        "may_administer": may_administer,
        "events": named_events(project, events_of(project.pk)[:EVENTS_SHOWN]) if may_administer else [],
    }
    return render(request, "accounts/project_home.html", context)


def _url(route: str, slug: str) -> str:
    try:
        return reverse(route, args=[slug])
    except NoReverseMatch:
        return ""
