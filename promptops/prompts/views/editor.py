"""The editor of a prompt, and the preview beside it. Viewers, and everybody in an archived prompt, read instead."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission, can
from promptops.catalog.models import Endpoint
from promptops.catalog.parameters import parameter_errors
from promptops.catalog.querysets import endpoints_of
from promptops.core.htmx import redirect, render
from promptops.prompts.dependents import dependents_of
from promptops.prompts.diff_view import comparison_of
from promptops.prompts.discarded import has_discarded
from promptops.prompts.forms import EditorForm, of_type, pretty_json
from promptops.prompts.models import Draft, Prompt
from promptops.prompts.presenters import heading_text
from promptops.prompts.preview import Preview, Problem, preview_of
from promptops.prompts.querysets import drafts_of
from promptops.prompts.selectors import diff_contents, find_prompt, folders_of, get_version, tags_of
from promptops.prompts.services import open_draft, start_draft
from promptops.prompts.size import Size, size_of
from promptops.prompts.views.access import prompt_view
from promptops.prompts.views.drafting import NEW, draft_key, draft_view, new_draft
from promptops.prompts.views.versions import labels_by_version, page_context, version_context
from promptops.templating import SYNTAXES, validate_spec

OTHER_DRAFTS = 3


@require_safe
@project_view(Permission.WRITE)
def create(request: ProjectRequest) -> HttpResponse:
    """The editor of a prompt that does not exist yet. ``?draft=<id>`` goes on with one that was begun."""
    number = request.GET.get("draft", "")
    draft = new_draft(request, number) if number else start_draft(request.actor, request.project)
    if draft is None:
        messages.info(request, _("That draft is gone: it was saved as a prompt, or discarded."))
        return redirect(request, "prompts:create", request.project.slug)
    others = drafts_of(request.project, owner_id=request.user.pk).filter(prompt=None).exclude(pk=draft.pk)
    context = editor_context(request, draft) | {
        "heading": draft.heading,
        "tags": ", ".join(str(tag) for tag in of_type(draft.heading.get("tags"), list, [])),
        "folders": folders_of(request.project),
        "known_tags": tags_of(request.project),
        "other_drafts": [(other, heading_text(other)) for other in others[:OTHER_DRAFTS]],
    }
    return render(request, "prompts/editor.html", context)


@require_safe
@prompt_view(Permission.READ)
def detail(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """The person's draft of a prompt in the editor; who may not write reads the newest version."""
    context = page_context(request, prompt)
    if not context["may_write"]:
        newest = get_version(prompt, number=prompt.last_number)
        return render(request, "prompts/read_only.html", context | version_context(request, prompt, newest))
    return render(request, "prompts/editor.html", context | editor_context(request, open_draft(request.actor, prompt)))


@require_POST
@project_view(Permission.WRITE)
def preview(request: ProjectRequest, slug: str) -> HttpResponse:
    """The rendered messages of what stands in the editor, or the mistake at its place; size, cost and advice."""
    if slug != NEW:
        find_prompt(request.project, slug)
    form = EditorForm(request.POST)
    content, endpoint = form.content(), chosen_endpoint(request, form.cleaned_data.get("endpoint") or "")
    shown = preview_of(request.project, content, form.sample_values())
    size = size_of(endpoint, shown.messages, content["parameters"]) if shown.messages is not None else None
    problems = [*shown.problems, *_problems_of_form(form), *_problems_of_parameters(endpoint, content["parameters"])]
    context = {
        "preview": shown,
        "problems": problems,
        "messages_shown": _with_tokens(shown, size),
        "tokens_estimated": size is None or size.estimated,
        "size": size,
        "endpoint": endpoint,
        "variables_found": json.dumps([{"name": name, "type": type_} for name, type_ in shown.variables.items()]),
    }
    return render(request, "prompts/preview.html", context)


@require_POST
@draft_view
def changes(request: ProjectRequest, draft: Draft) -> HttpResponse:
    """What a version saved now would change; shown where one is asked why."""
    content, base = EditorForm(request.POST).content(), draft.base_version
    comparison = None
    if base is not None and not validate_spec(content):
        comparison = comparison_of(
            diff_contents(request.project, base.content, content), base.content["messages"], content["messages"]
        )
    used_by = dependents_of(draft.prompt) if draft.prompt is not None else []
    return render(request, "prompts/save_changes.html", {"base": base, "comparison": comparison, "used_by": used_by})


def editor_context(request: ProjectRequest, draft: Draft) -> dict[str, Any]:
    """What the editor shows: a draft's content in the pieces of its form, and what stands around it."""
    prompt, base, content = draft.prompt, draft.base_version, draft.content
    may_run = can(request.actor, request.project, Permission.RUN)
    is_behind = prompt is not None and base is not None and base.number < prompt.last_number
    newest = get_version(prompt, number=prompt.last_number) if is_behind and prompt else None
    query = f"?draft={draft.pk}" if prompt is None and draft.pk else ""
    where = [request.project.slug, prompt.slug if prompt else NEW]
    return {
        "prompt": prompt,
        "draft": draft,
        "base": base,
        "base_labels": labels_by_version(prompt).get(base.pk, []) if prompt and base else [],
        "newest": newest,
        "draft_url": f"{reverse('prompts:draft', args=where)}{query}",
        "draft_key": draft_key(draft),
        "where": where[1],
        "can_bring_back": has_discarded(request, prompt),
        "kind": content.get("kind") or "chat",
        "syntax": content.get("syntax") or SYNTAXES[0],
        "kinds": Prompt.Kind.choices,
        "syntaxes": SYNTAXES,
        "messages_json": json.dumps(
            [one for one in of_type(content.get("messages"), list, []) if isinstance(one, dict)]
        ),
        "variables_json": json.dumps(of_type(content.get("variables"), dict, {})),
        "parameters_json": json.dumps(of_type(content.get("parameters"), dict, {})),
        "schema_json": pretty_json(content.get("output_schema")),
        "endpoints": list(endpoints_of(request.project)) if may_run else [],
        "endpoint": chosen_endpoint(request, request.GET.get("endpoint", "")),
    }


def chosen_endpoint(request: ProjectRequest, slug: str = "") -> Endpoint | None:
    """Return the endpoint that the person chose last in this project, else the default one; None without any.

    A ``slug`` is a new choice: it is remembered in the session.
    """
    key = f"endpoint:{request.project.pk}"
    remembered = request.session.get(key, "")
    endpoints = list(endpoints_of(request.project))
    found = next((one for wanted in (slug, remembered) for one in endpoints if wanted and one.slug == wanted), None)
    if slug and found is not None and found.slug == slug != remembered:
        request.session[key] = slug
    return found or next(iter(endpoints), None)


def _with_tokens(shown: Preview, size: Size | None) -> list[dict[str, Any]] | None:
    if shown.messages is None or size is None:
        return None
    return [{**message, "tokens": tokens} for message, tokens in zip(shown.messages, size.by_message, strict=True)]


def _problems_of_form(form: EditorForm) -> list[Problem]:
    return [Problem(text, path=name) for name, texts in form.problems().items() for text in texts if name != "values"]


def _problems_of_parameters(endpoint: Endpoint | None, parameters: dict[str, Any]) -> list[Problem]:
    """Names and values that the chosen model does not take: a run would be refused for them."""
    if endpoint is None:
        return []
    errors = parameter_errors(endpoint.provider, parameters)
    return [Problem(text, path=path) for path, texts in errors.items() for text in texts]
