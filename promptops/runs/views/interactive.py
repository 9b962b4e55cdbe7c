"""Running from a page: start, watch, come back to it, cancel."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, can
from promptops.core.errors import AppError, Forbidden, Invalid, NotFound
from promptops.core.htmx import is_fragment, redirect, render, toast
from promptops.core.streaming import MAX_CHANNELS, EventStreamResponse
from promptops.prompts.models import Prompt
from promptops.prompts.selectors import find_prompt
from promptops.runs.events import channel_of
from promptops.runs.forms import RunForm
from promptops.runs.liveness import queue_states
from promptops.runs.models import Priority, Run, Status
from promptops.runs.presenters import Panel, error_lines, panel_of, stream_url
from promptops.runs.querysets import runs_of
from promptops.runs.selectors import get_run, payload_of
from promptops.runs.services import (
    cancel_run,
    get_endpoint,
    start_draft_run,
    start_run,
    version_target,
)

RECENT = dt.timedelta(hours=1)
STOP_POLLING = 286
"""htmx ends a poll when it is answered so."""


@require_POST
@project_view(Permission.RUN)
def start(request: ProjectRequest) -> HttpResponse:
    """Run what the editor holds. Answers with the streaming panel; 422 with what to correct."""
    try:
        run = _start(request, RunForm(request.POST))
    except Forbidden:
        raise
    except AppError as error:
        errors = error.extra.get("errors", {})
        context = {"errors": error_lines(errors), "detail": error.detail}
        return render(request, "runs/not_started.html", context, status=422)
    if not is_fragment(request):
        return redirect(request, "runs:detail", request.project.slug, run.pk)
    return _area(request, [panel_for(request, run)])


@require_safe
@project_view(Permission.READ)
def stream(request: ProjectRequest) -> HttpResponse:
    """The event stream of the given runs (``?run=…&run=…``) of this project."""
    asked = {_uuid(text) for text in request.GET.getlist("run")[: MAX_CHANNELS + 1]}
    if not 1 <= len(asked) <= MAX_CHANNELS:
        raise Invalid(_("Name 1 to %d runs to watch.") % MAX_CHANNELS)
    found = set(runs_of(request.project).filter(pk__in=asked).values_list("pk", flat=True))
    if found != asked:
        raise NotFound(_("This project has no such run."), code="run_not_found")
    channels = [channel_of(run_id) for run_id in sorted(found)]
    return EventStreamResponse(channels)


@require_safe
@project_view(Permission.READ)
def panel(request: ProjectRequest, run_id: uuid.UUID) -> HttpResponse:
    """One run's panel; with ``?part=note`` only why it has no text yet, asked again and again until it has ended."""
    run = get_run(request.project, run_id)
    shown = panel_for(request, run)
    if request.GET.get("part") == "note":
        return render(request, "runs/note.html", {"panel": shown}, status=200 if shown.active else STOP_POLLING)
    return render(request, "components/run_panel.html", {"panel": shown})


@require_safe
@project_view(Permission.READ)
def recent_panel(request: ProjectRequest) -> HttpResponse:
    """The person's last run of a prompt (or of a new one) in the last hour, watched again where it still runs."""
    slug = request.GET.get("prompt", "")
    prompt = find_prompt(request.project, slug) if slug else None
    run = _recent_run(request, prompt)
    if run is None:
        may_run = can(request.actor, request.project, Permission.RUN)
        return render(request, "runs/no_recent.html", {"may_run": may_run})
    return _area(request, [panel_for(request, run)])


@require_POST
@project_view(Permission.RUN)
def cancel(request: ProjectRequest, run_id: uuid.UUID) -> HttpResponse:
    """Cancel a run. A queued one ends at once; of the end of a running one the stream tells."""
    run = cancel_run(request.actor, get_run(request.project, run_id))
    if not is_fragment(request):
        return redirect(request, "runs:detail", request.project.slug, run.pk)
    answer = HttpResponse(status=204)
    if Status(run.status).is_terminal:
        trigger_client_event(answer, "run:ended", {"run": str(run.pk), "status": run.status})
    if run.ended_at is not None and run.status != Status.CANCELLED:
        toast(answer, _("It had ended before it could be cancelled."), "info")
    return answer


def panel_for(request: ProjectRequest, run: Run) -> Panel:
    """The panel of a run for who asks."""
    active = not Status(run.status).is_terminal
    return panel_of(
        run,
        None if active else payload_of(run).output,
        queue_states() if active else {},
        may_run=can(request.actor, request.project, Permission.RUN),
        project_slug=request.project.slug,
    )


def stream_area(request: ProjectRequest, panels: list[Panel]) -> str:
    """The element that watches these runs, with their panels."""
    context = {"panels": panels, "stream_url": stream_url(request.project.slug, [one.run for one in panels])}
    return render_to_string("runs/run_area.html", context, request=request)


def _area(request: ProjectRequest, panels: list[Panel]) -> HttpResponse:
    return HttpResponse(stream_area(request, panels))


def _start(request: ProjectRequest, form: RunForm) -> Run:
    project, actor, asked = request.project, request.actor, form.asked()
    problems = form.unreadable()
    if problems:
        raise Invalid(_("Some of it is not valid JSON."), errors=problems)
    endpoint = get_endpoint(project, asked["endpoint"])
    values = form.sample_values()
    if asked["prompt"] and asked["version"]:
        target = version_target(project, _present_slug(project, asked["prompt"]), version=asked["version"])
        return start_run(actor, target, endpoint, variables=values, priority=Priority.INTERACTIVE)
    prompt = find_prompt(project, asked["prompt"]) if asked["prompt"] else None
    return start_draft_run(actor, project, form.content(), endpoint, prompt=prompt, variables=values)


def _present_slug(project: Project, slug: str) -> str:
    return find_prompt(project, slug).slug


def _recent_run(request: ProjectRequest, prompt: Prompt | None) -> Run | None:
    wanted: dict[str, Any] = {"actor_user": request.user, "actor_kind": "user", "priority": Priority.INTERACTIVE}
    recent = runs_of(request.project).filter(created_at__gt=timezone.now() - RECENT, **wanted)
    return recent.filter(prompt=prompt).first()


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise NotFound(_("This project has no such run."), code="run_not_found") from None
