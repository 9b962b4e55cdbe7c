"""The history of a prompt: its versions, one version, the difference of two, and editing from an old one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from promptops.accounts.access import ProjectRequest
from promptops.accounts.policies import Permission, can
from promptops.core.csv_export import csv_response
from promptops.core.errors import Conflict
from promptops.core.htmx import redirect, render
from promptops.core.pagination import page_of
from promptops.prompts.composition import composed_version, direct_includes
from promptops.prompts.dependents import dependents_of
from promptops.prompts.diff_view import comparison_of
from promptops.prompts.discarded import remember_discarded
from promptops.prompts.forms import plain_json, pretty_json
from promptops.prompts.highlighting import shown_messages
from promptops.prompts.models import Label, Prompt, PromptVersion
from promptops.prompts.presenters import folders_above, label_order, variable_rows
from promptops.prompts.querysets import labels_of, versions_of
from promptops.prompts.selectors import diff_versions, get_version
from promptops.prompts.services import open_draft, save_draft
from promptops.prompts.snippets import code_snippets
from promptops.prompts.views.access import prompt_view

PAGE_SIZE = 50
LARGEST_NUMBER = 2**31 - 1


@require_safe
@prompt_view(Permission.READ)
def version_list(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """The timeline, newest first, with the labels where they stand."""
    page = page_of(
        versions_of(prompt).defer("spec__content"),
        order=["-number"],
        cursor=request.GET.get("cursor"),
        limit=PAGE_SIZE,
    )
    labels = labels_by_version(prompt)
    numbers = [version.number for version in page.items]
    context = page_context(request, prompt, "versions") | {
        "rows": [(version, labels.get(version.pk, [])) for version in page.items],
        "next_cursor": page.next,
        # What the radio buttons begin with: the newest two of the page.
        "compared": (numbers[1], numbers[0]) if len(numbers) > 1 else (None, None),
        "csv_url": reverse("prompts:versions-csv", args=[request.project.slug, prompt.slug]),
    }
    return render(request, "prompts/versions.html", context)


@require_safe
@prompt_view(Permission.READ)
def version_list_csv(request: ProjectRequest, prompt: Prompt) -> HttpResponseBase:
    """Every version as CSV."""
    labels = labels_by_version(prompt)
    header = ["version", "parent", "labels", "message", "author", "saved_at", "sha256"]
    rows = (
        [
            version.number,
            version.parent.number if version.parent else None,
            " ".join(label.name for label in labels.get(version.pk, [])),
            version.message,
            version.author_name,
            version.created_at,
            version.content_sha256,
        ]
        for version in list(versions_of(prompt).defer("spec__content"))
    )
    return csv_response(f"{prompt.slug}-versions", header, rows)


@require_safe
@prompt_view(Permission.READ)
def version_detail(request: ProjectRequest, prompt: Prompt, number: int) -> HttpResponse:
    """One version: what it says, its variables, parameters and schema, its hash, and how to use it in code."""
    version = get_version(prompt, number=number)
    context = page_context(request, prompt, "versions") | version_context(request, prompt, version)
    context["previous_number"] = number - 1 if number > 1 else None
    context["next_number"] = number + 1 if number < prompt.last_number else None
    return render(request, "prompts/version.html", context)


@require_safe
@prompt_view(Permission.READ)
def version_diff(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """The words, parameters, variables and schema that differ between two versions: ``?from=1&to=2``."""
    new = get_version(prompt, number=_number(request, "to", prompt.last_number))
    old = get_version(prompt, number=_number(request, "from", max(1, new.number - 1)))
    labels = labels_by_version(prompt)
    context = page_context(request, prompt, "versions") | {
        "old": old,
        "new": new,
        "comparison": comparison_of(diff_versions(old, new), old.content["messages"], new.content["messages"]),
        "inline": request.GET.get("view") == "inline",
        "numbers": range(prompt.last_number, 0, -1),
        "old_labels": labels.get(old.pk, []),
        "new_labels": labels.get(new.pk, []),
    }
    return render(request, "prompts/diff.html#comparison", context)


@require_POST
@prompt_view(Permission.WRITE)
def edit_from(request: ProjectRequest, prompt: Prompt, number: int) -> HttpResponse:
    """Load an old version's content into the person's draft; what the draft held before can be brought back."""
    if prompt.archived_at is not None:
        raise Conflict(_("This prompt is archived. Restore it first."), code="archived")
    version = get_version(prompt, number=number)
    draft = open_draft(request.actor, prompt)
    if draft.pk is not None:
        remember_discarded(request, draft)
    save_draft(request.actor, draft, revision=draft.revision, content=version.content)
    messages.success(request, _("Your draft now has the text of version %d. Save it to make it the newest.") % number)
    return redirect(request, "prompts:detail", request.project.slug, prompt.slug)


def page_context(request: ProjectRequest, prompt: Prompt, tab: str = "editor") -> dict[str, Any]:
    """What every page of a prompt shows: the prompt, where the page is, and what the reader may do with it."""
    may_write = can(request.actor, request.project, Permission.WRITE)
    return {
        "prompt": prompt,
        "tab": tab,
        "folders_above": folders_above(prompt.folder),
        "may_write": may_write and prompt.archived_at is None,
        "may_restore": may_write,
    }


def version_context(request: ProjectRequest, prompt: Prompt, version: PromptVersion) -> dict[str, Any]:
    """What the read-only view of a version shows."""
    labels = labels_by_version(prompt).get(version.pk, [])
    content = version.content
    parameters: dict[str, Any] = content.get("parameters", {})
    label = labels[0].name if labels else None
    return {
        "version": version,
        "content": content,
        "labels": labels,
        "shown_messages": shown_messages(content),
        "variables": variable_rows(_whole(version)),
        "includes": direct_includes(content),
        "used_by": dependents_of(prompt),
        "parameters": [(name, plain_json(value)) for name, value in sorted(parameters.items())],
        "schema_text": pretty_json(content.get("output_schema")),
        "api_path": f"/api/v1/prompts/{prompt.slug}/versions/{version.number}",
        "snippets": code_snippets(request.build_absolute_uri("/"), prompt.slug, version, label=label),
    }


def _whole(version: PromptVersion) -> dict[str, Any]:
    """The content with its includes put in, where they can be."""
    try:
        return composed_version(version).content
    except Conflict:
        return version.content


def labels_by_version(prompt: Prompt) -> dict[int, list[Label]]:
    """The standing labels by the version's primary key, ``production`` first."""
    found: dict[int, list[Label]] = {}
    for label in sorted(labels_of(prompt), key=lambda one: label_order(one.name)):
        if label.version_id is not None:
            found.setdefault(label.version_id, []).append(label)
    return found


def _number(request: ProjectRequest, name: str, otherwise: int) -> int:
    text = request.GET.get(name, "")
    if not text:
        return otherwise
    if not text.isdecimal() or not 0 < int(text[:20]) <= LARGEST_NUMBER:
        raise Http404
    return int(text)
