"""Labels: where they stand, moving them, rolling back, and what served at a past moment."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from promptops.accounts.access import ProjectRequest
from promptops.accounts.policies import Permission
from promptops.core.csv_export import csv_response
from promptops.core.errors import Conflict, Invalid, NotFound
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render
from promptops.core.pagination import page_of
from promptops.prompts.dependents import dependents_of
from promptops.prompts.diff_view import summary_of
from promptops.prompts.forms import MoveLabelForm
from promptops.prompts.models import Label, LabelMove, Prompt
from promptops.prompts.presenters import label_order, label_rows
from promptops.prompts.querysets import labels_of, moves_of, versions_of
from promptops.prompts.selectors import DEFAULT_LABEL, diff_versions, get_label, get_version, label_at
from promptops.prompts.services import move_label, remove_label, rollback_label
from promptops.prompts.views.access import prompt_view
from promptops.prompts.views.versions import page_context

USUAL_LABELS = (DEFAULT_LABEL, "staging")
VERSIONS_OFFERED = 100
PAGE_SIZE = 50
MAX_DIGITS = 9


@require_safe
@prompt_view(Permission.READ)
def label_list(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """Every label with where it stands, since when and why, and the version to which it would roll back."""
    context = page_context(request, prompt, "labels") | {"rows": label_rows(prompt)}
    return render(request, "prompts/labels.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@prompt_view(Permission.WRITE)
def label_move(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """The form by which a label is moved (a dialog, or a page of its own), and the move."""
    standing = {label.name: label for label in labels_of(prompt)}
    if request.method != "POST":
        name = (request.GET.get("label", "") or request.GET.get("other", "")).strip()
        first_release = DEFAULT_LABEL not in standing and "label" not in request.GET
        given = {
            "label": name or (DEFAULT_LABEL if first_release else ""),
            "version": request.GET.get("version") or prompt.last_number,
            "reason": request.GET.get("reason", ""),
        }
        return _move_form(request, prompt, MoveLabelForm(initial=given), standing)
    form = MoveLabelForm(request.POST)
    if not form.is_valid():
        return _move_form(request, prompt, form, standing, status=422)
    wanted = form.cleaned_data
    try:
        version = get_version(prompt, number=wanted["version"])
        move = move_label(
            request.actor,
            prompt,
            wanted["label"],
            version,
            reason=wanted["reason"],
            expected=wanted["expected"] or 0,
        )
    except NotFound as error:
        form.add_error("version", error.detail)
        return _move_form(request, prompt, form, standing, status=422)
    except (Conflict, Invalid) as error:
        put_errors(form, error)
        moved_on = error.code == "label_moved"
        return _move_form(request, prompt, form, standing, status=error.http_status, moved_on=moved_on)
    text = _("“%(label)s” stands at version %(version)d now.") if move else _("“%(label)s” stood there already.")
    messages.success(request, text % {"label": wanted["label"], "version": wanted["version"]})
    return redirect(request, "prompts:labels", request.project.slug, prompt.slug)


@require_POST
@prompt_view(Permission.WRITE)
def label_rollback(request: ProjectRequest, prompt: Prompt, label: str) -> HttpResponse:
    """Point a label back at a version that stood under it: the one that the button named."""
    number = request.POST.get("version", "")
    version = get_version(prompt, number=int(number)) if _is_number(number) else None
    reason, expected = request.POST.get("reason", ""), _expected(request)
    try:
        move = rollback_label(request.actor, prompt, label, version=version, reason=reason, expected=expected)
    except Conflict as error:
        messages.error(request, error.detail)
    else:
        if move is not None and move.to_version is not None:
            told = {"label": label, "version": move.to_version.number}
            messages.success(request, _("“%(label)s” is back at version %(version)d.") % told)
    return redirect(request, "prompts:labels", request.project.slug, prompt.slug)


@require_POST
@prompt_view(Permission.WRITE)
def label_remove(request: ProjectRequest, prompt: Prompt, label: str) -> HttpResponse:
    """Take a label off. Its history stays, and rolling back or moving brings it back."""
    try:
        remove_label(request.actor, prompt, label, reason=request.POST.get("reason", ""), expected=_expected(request))
    except Conflict as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, _("No version is “%s” any more. Services that ask for it get an error.") % label)
    return redirect(request, "prompts:labels", request.project.slug, prompt.slug)


@require_safe
@prompt_view(Permission.READ)
def label_history(request: ProjectRequest, prompt: Prompt, label: str) -> HttpResponse:
    """Every move of a label, newest first, and ``?at=2026-05-04T14:03`` (UTC): what served then."""
    get_label(prompt, label)
    page = page_of(moves_of(prompt, label), order=["-at", "-id"], cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    asked = request.GET.get("at", "").strip()
    moment = _moment(asked)
    context: dict[str, Any] = page_context(request, prompt, "labels") | {
        "label": label,
        "moves": page.items,
        "next_cursor": page.next,
        "asked": asked,
        "at_value": f"{moment:%Y-%m-%dT%H:%M:%S}" if moment else asked,
        "asked_wrongly": bool(asked) and moment is None,
        "moment": moment,
        "then": label_at(prompt, label, moment) if moment else None,
        "csv_url": reverse("prompts:label-history-csv", args=[request.project.slug, prompt.slug, label]),
    }
    return render(request, "prompts/label_history.html#history", context)


@require_safe
@prompt_view(Permission.READ)
def label_history_csv(request: ProjectRequest, prompt: Prompt, label: str) -> HttpResponseBase:
    """Every move of a label as CSV."""
    get_label(prompt, label)
    header = ["at", "label", "from_version", "to_version", "how", "by", "reason"]
    return csv_response(f"{prompt.slug}-{label}-history", header, map(_csv_row, list(moves_of(prompt, label))))


def _move_form(
    request: ProjectRequest,
    prompt: Prompt,
    form: MoveLabelForm,
    standing: dict[str, Label],
    *,
    status: int = 200,
    moved_on: bool = False,
) -> HttpResponse:
    """The form with where the chosen label stands *now*; sending it again says that the mover has seen that."""
    name = str(form["label"].value() or form["other"].value() or "")
    current = standing.get(name)
    chosen = str(form["version"].value() or "")
    target = versions_of(prompt).filter(number=int(chosen)).first() if _is_number(chosen) else None
    names = sorted({*standing, *USUAL_LABELS}, key=label_order)
    offered = list(versions_of(prompt).select_related(None).only("number", "message")[:VERSIONS_OFFERED])
    context = page_context(request, prompt, "labels") | {
        "form": form,
        "current": current,
        "expected": current.version.number if current and current.version else 0,
        "chosen": chosen,
        "name": name,
        "names": names,
        "is_other": bool(name) and name not in names,
        "versions": offered if target is None or target in offered else [*offered, target],
        "target": target,
        "is_moved_on": moved_on,
        "used_by": dependents_of(prompt, label=name) if name else [],
        "summary": summary_of(diff_versions(current.version, target))
        if current and current.version and target
        else None,
    }
    return render(request, "prompts/label_move.html#form", context, status=status)


def _expected(request: ProjectRequest) -> int | None:
    text = request.POST.get("expected", "")
    return int(text) if _is_number(text) else None


def _is_number(text: str) -> bool:
    """Whether it is a number that the database can compare; whether such a version exists is another question."""
    return text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS


def _moment(text: str) -> dt.datetime | None:
    """A time as the browser's field writes it; without an offset it is UTC."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None:
        return None
    try:
        return timezone.make_aware(moment, dt.UTC) if timezone.is_naive(moment) else moment.astimezone(dt.UTC)
    except OverflowError:
        return None


def _csv_row(move: LabelMove) -> list[Any]:
    return [
        move.at,
        move.label.name,
        move.from_version.number if move.from_version else None,
        move.to_version.number if move.to_version else None,
        move.authority,
        move.actor_name,
        move.reason,
    ]
