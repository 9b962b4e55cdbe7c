"""What the project's home page shows of runs."""

from __future__ import annotations

import datetime as dt

from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.htmx import render
from promptops.prompts.dependents import dependents_of
from promptops.prompts.selectors import find_prompt
from promptops.runs.callers import DAYS as CALLER_DAYS
from promptops.runs.callers import callers_of
from promptops.runs.home import DAYS, queues_in_use, recent_failures, running_now, week_of
from promptops.runs.views.listing import rows_of


@require_safe
@project_view(Permission.READ)
def callers_panel(request: ProjectRequest, slug: str) -> HttpResponse:
    """Which tokens ran a prompt lately, or something that includes it."""
    prompt = find_prompt(request.project, slug)
    prompts = [prompt, *(one.version.prompt for one in dependents_of(prompt))]
    return render(request, "runs/callers.html", {"callers": callers_of(request.project, prompts), "days": CALLER_DAYS})


@require_safe
@project_view(Permission.READ)
def home_panel(request: ProjectRequest) -> HttpResponse:
    """Seven days beside the seven before, what runs now, what failed, and whether workers are there."""
    project, today = request.project, timezone.now().date()
    active, running, queued = running_now(project)
    context = {
        "week": week_of(project, today),
        "before": week_of(project, today - dt.timedelta(days=DAYS)),
        "active": rows_of(project, active),
        "running": running,
        "queued": queued,
        "failures": rows_of(project, recent_failures(project)),
        "queues": queues_in_use(project),
    }
    return render(request, "runs/home_panel.html", context)
