"""Bringing an outdated change request up to date; what both sides changed is settled by a person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from promptops.accounts.access import ProjectRequest
from promptops.accounts.policies import Permission
from promptops.core.errors import AppError, Conflict, Invalid
from promptops.core.htmx import redirect, render
from promptops.prompts.diff_view import comparison_of
from promptops.prompts.forms import plain_json, pretty_json
from promptops.reviews import services
from promptops.reviews.models import ChangeRequest
from promptops.reviews.presenters import settled_content
from promptops.reviews.views.access import change_view
from promptops.templating import MergeConflict, diff

CHOICES = ("ours", "theirs", "edit")


@dataclass(frozen=True)
class ShownConflict:
    """What both sides changed: as text, or as JSON where it is more than a text."""

    name: str
    title: str
    base: str
    ours: str
    theirs: str
    is_text: bool
    choice: str
    edited: str
    error: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
@change_view(Permission.WRITE)
def rebase(request: ProjectRequest, change: ChangeRequest) -> HttpResponse:
    """Show what a rebase would propose and where both sides changed the same; then do it."""
    if not change.is_undecided:
        messages.info(request, _("It is closed, so there is nothing to rebase."))
        return redirect(request, "reviews:detail", request.project.slug, change.number)
    preview = services.preview_rebase(change)
    given = request.POST if request.method == "POST" else None
    shown, values = _read(preview.conflicts, given)
    if given is None or any(one.error for one in shown):
        return _page(request, change, preview, shown, status=200 if given is None else 422)
    try:
        resolved = settled_content(preview.content, preview.conflicts, values) if preview.conflicts else None
        services.rebase(request.actor, change, resolved=resolved)
    except (Conflict, Invalid) as error:
        return _page(request, change, services.preview_rebase(change), shown, status=error.http_status, error=error)
    messages.success(request, _("Rebased: it stands on what is live now. Whoever approved looks again."))
    return redirect(request, "reviews:detail", request.project.slug, change.number)


def _page(
    request: ProjectRequest,
    change: ChangeRequest,
    preview: Any,
    shown: list[ShownConflict],
    *,
    status: int = 200,
    error: AppError | None = None,
) -> HttpResponse:
    before, after = change.candidate.content, preview.content
    context = {
        "change": change,
        "prompt": change.prompt,
        "conflicts": shown,
        "comparison": comparison_of(diff(before, after), before["messages"], after["messages"]),
        "problem": error.detail if error else "",
    }
    return render(request, "reviews/rebase.html", context, status=status)


def _read(conflicts: list[MergeConflict], given: Any) -> tuple[list[ShownConflict], list[Any]]:
    """What was chosen at each conflict (ours, until somebody chooses), and the value that it means."""
    shown, values = [], []
    for number, conflict in enumerate(conflicts):
        name = f"conflict-{number}"
        is_text = all(isinstance(one, str | None) for one in (conflict.base, conflict.ours, conflict.theirs))
        choice = given.get(name, "") if given is not None else "ours"
        edited = (
            given.get(f"{name}-text", "").replace("\r\n", "\n") if given is not None else _text(conflict.ours, is_text)
        )
        value, error = None, ""
        if choice not in CHOICES:
            error = _("Choose one of them.")
        elif choice != "edit":
            value = getattr(conflict, choice)
        elif is_text:
            value = edited
        else:
            try:
                value = json.loads(edited)
            except ValueError:
                error = _("This is not valid JSON.")
        base, ours, theirs = (_text(one, is_text) for one in (conflict.base, conflict.ours, conflict.theirs))
        shown.append(ShownConflict(name, _title(conflict.path), base, ours, theirs, is_text, choice, edited, error))
        values.append(value)
    return shown, values


def _text(value: Any, is_text: bool) -> str:
    if value is None:
        return ""
    return plain_json(value) if is_text else pretty_json(value)


def _title(path: str) -> str:
    """Where it is, for people: ``messages.1.content`` is “Message 2”."""
    steps = path.split(".")
    if steps[0] == "messages" and len(steps) > 1 and steps[1].isdecimal():
        rest = "" if steps[2:] in ([], ["content"]) else f" · {'.'.join(steps[2:])}"
        return _("Message %d") % (int(steps[1]) + 1) + rest
    return path.replace(".", " · ")
