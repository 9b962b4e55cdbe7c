"""One run: what went in, what came out, what it cost, where it came from; and what can be done with it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission, can
from promptops.accounts.querysets import tokens_of
from promptops.catalog.querysets import endpoints_of
from promptops.core.errors import AppError, Forbidden, NotFound
from promptops.core.htmx import redirect, render
from promptops.prompts.discarded import remember_discarded
from promptops.prompts.services import open_draft, save_draft
from promptops.runs.advice import advice_on, finish_note
from promptops.runs.lineage import lineage_of
from promptops.runs.models import Run, Status
from promptops.runs.presenters import stream_url
from promptops.runs.querysets import attempts_of
from promptops.runs.selectors import get_run, payload_of
from promptops.runs.services import get_endpoint, replay_run
from promptops.runs.snippets import run_snippets
from promptops.runs.views.interactive import panel_for


@require_safe
@project_view(Permission.READ)
def detail(request: ProjectRequest, run_id: uuid.UUID) -> HttpResponse:
    """The page of a run; to htmx its body, which takes the place of the streaming one when the run has ended."""
    run = get_run(request.project, run_id)
    payload = payload_of(run)
    active = not Status(run.status).is_terminal
    error = run.error or {}
    may_run = can(request.actor, request.project, Permission.RUN)
    context: dict[str, Any] = {
        "run": run,
        "payload": payload,
        "active": active,
        "error": error if run.status == Status.FAILED or (active and error) else None,
        "advice": advice_on(str(error.get("kind", ""))),
        "finish_note": finish_note(run.finish_reason),
        "output_json": _pretty(payload.output),
        "variables": [(name, _shown(value)) for name, value in payload.variables.items()],
        "parameters": [(name, _shown(value)) for name, value in sorted(payload.parameters.items())],
        "metadata": [(name, _shown(value)) for name, value in sorted(run.metadata.items())],
        "includes": payload.includes,
        "attempts": list(attempts_of(run)),
        "asked_by": _asked_by(run),
        "graph": lineage_of(run, payload),
        "snippets": run_snippets(request.build_absolute_uri("/"), run, payload),
        "may_run": may_run,
        "endpoints": endpoints_of(request.project) if may_run else [],
    }
    if active:
        url = reverse("runs:detail", args=[request.project.slug, run.pk])
        panel = replace(panel_for(request, run), result_url=url, result_target="#run-body")
        context |= {"panels": [panel], "stream_url": stream_url(request.project.slug, [run])}
    return render(request, "runs/detail.html#body", context)


@require_POST
@project_view(Permission.RUN)
def replay(request: ProjectRequest, run_id: uuid.UUID) -> HttpResponse:
    """Run the same again, on the endpoint named by ``endpoint`` or the same one; leads to the new run."""
    run = get_run(request.project, run_id)
    try:
        slug = request.POST.get("endpoint", "")
        endpoint = get_endpoint(request.project, slug) if slug else None
        again = replay_run(request.actor, run, endpoint=endpoint)
    except Forbidden:
        raise
    except AppError as error:
        problems = [text for texts in error.extra.get("errors", {}).values() for text in texts]
        messages.error(request, " ".join([str(error.detail), *problems]))
        return redirect(request, "runs:detail", request.project.slug, run.pk)
    return redirect(request, "runs:detail", request.project.slug, again.pk)


@require_POST
@project_view(Permission.WRITE)
def edit_from(request: ProjectRequest, run_id: uuid.UUID) -> HttpResponse:
    """Load what the run executed into the person's draft; what the draft held before can be brought back."""
    run = get_run(request.project, run_id)
    if run.prompt is None:
        raise NotFound(_("This run was of a new prompt that was never saved; its draft is where it was written."))
    draft = open_draft(request.actor, run.prompt)
    if draft.pk is not None:
        remember_discarded(request, draft)
    save_draft(request.actor, draft, revision=draft.revision, content=run.spec.content)
    messages.success(request, _("Your draft now has the text that this run executed."))
    return redirect(request, "prompts:detail", request.project.slug, run.prompt.slug)


def _asked_by(run: Run) -> str:
    """Who started it: a person, or a token and the person who answers for it."""
    person = run.actor_user.name if run.actor_user else ""
    if run.token_id is None:
        return person or _("the system")
    token = tokens_of(run.project).filter(pk=run.token_id).first()
    name = _("token “%s”") % (token.name if token else run.token_id)
    return f"{name} ({person})" if person else name


def _pretty(output: str | None) -> str:
    """The output as indented JSON where it is an object or a list; else empty."""
    text = (output or "").strip()
    if not text.startswith(("{", "[")):
        return ""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except ValueError:
        return ""


def _shown(value: Any) -> str:
    """A value for reading: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
