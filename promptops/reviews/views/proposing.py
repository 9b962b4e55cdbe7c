"""Proposing a version for a label, and what a change request says of itself."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from promptops.accounts.access import ProjectRequest
from promptops.accounts.models import User
from promptops.accounts.policies import Permission
from promptops.core.errors import Conflict, Invalid, NotFound
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render
from promptops.prompts.diff_view import summary_of
from promptops.prompts.models import Prompt, PromptVersion
from promptops.prompts.presenters import label_order
from promptops.prompts.querysets import labels_of, versions_of
from promptops.prompts.selectors import DEFAULT_LABEL, diff_versions, get_version
from promptops.prompts.views.access import prompt_view
from promptops.prompts.views.versions import page_context
from promptops.reviews import services
from promptops.reviews.forms import CHECK_NAMES, ProposeForm, RequestForm
from promptops.reviews.models import ChangeRequest
from promptops.reviews.selectors import authors_of, owners_for, policy_for, possible_reviewers, suggested_reviewers
from promptops.reviews.views.access import change_view

VERSIONS_OFFERED = 100
USUAL_LABELS = (DEFAULT_LABEL, "staging")


@require_http_methods(["GET", "HEAD", "POST"])
@prompt_view(Permission.WRITE)
def propose(request: ProjectRequest, prompt: Prompt) -> HttpResponse:
    """The form by which a version is proposed for a label (``?version=&label=``), and the proposal."""
    people = [one for one in possible_reviewers(request.project) if one != request.user]
    if request.method != "POST":
        given = {
            "label": request.GET.get("label") or DEFAULT_LABEL,
            "version": request.GET.get("version") or prompt.last_number,
            "title": request.GET.get("title", ""),
            "description": request.GET.get("description", ""),
            "reviewers": [str(one.pk) for one in suggested_reviewers(prompt, but=request.user)],
        }
        return _form(request, prompt, ProposeForm(initial=given, people=people))
    form = ProposeForm(request.POST, people=people)
    if not form.is_valid():
        return _form(request, prompt, form, status=422)
    wanted = form.cleaned_data
    try:
        change = services.propose(
            request.actor,
            prompt,
            version=get_version(prompt, number=wanted["version"]),
            label=wanted["label"],
            title=wanted["title"],
            description=wanted["description"],
            reviewers=wanted["reviewers"],
            draft=wanted["draft"],
        )
    except NotFound as error:
        form.add_error("version", error.detail)
        return _form(request, prompt, form, status=422)
    except (Conflict, Invalid) as error:
        put_errors(form, error)
        other = error.extra.get("number") if error.code == "already_proposed" else None
        return _form(request, prompt, form, status=error.http_status, other=other)
    messages.success(request, _("Change request #%d is made.") % change.number)
    return redirect(request, "reviews:detail", request.project.slug, change.number)


@require_http_methods(["GET", "HEAD", "POST"])
@change_view(Permission.WRITE)
def edit(request: ProjectRequest, change: ChangeRequest) -> HttpResponse:
    """Title, description, and whose review is asked for."""
    people = _able(change)
    if request.method != "POST":
        given = {
            "title": change.title,
            "description": change.description,
            "reviewers": [str(one.pk) for one in change.reviewers.all()],
        }
        return _edit_form(request, change, RequestForm(initial=given, people=people))
    form = RequestForm(request.POST, people=people)
    if not form.is_valid():
        return _edit_form(request, change, form, status=422)
    try:
        services.edit_request(request.actor, change, **form.cleaned_data)
    except (Conflict, Invalid) as error:
        put_errors(form, error)
        return _edit_form(request, change, form, status=error.http_status)
    messages.success(request, _("Saved."))
    return redirect(request, "reviews:detail", request.project.slug, change.number)


def _able(change: ChangeRequest) -> list[User]:
    """Who can be asked: reviewers who wrote none of it, and whoever was asked already."""
    authors = authors_of(change)
    asked = list(change.reviewers.order_by("name", "pk"))
    return [*asked, *(one for one in possible_reviewers(change.project) if one.pk not in authors and one not in asked)]


def _edit_form(request: ProjectRequest, change: ChangeRequest, form: RequestForm, *, status: int = 200) -> HttpResponse:
    return render(request, "reviews/edit.html#form", {"change": change, "form": form}, status=status)


def _form(
    request: ProjectRequest, prompt: Prompt, form: ProposeForm, *, status: int = 200, other: int | None = None
) -> HttpResponse:
    """The form with where the label stands now, what the change would be, and what the policy asks."""
    name, chosen = str(form["label"].value() or ""), str(form["version"].value() or "")
    standing = {label.name: label for label in labels_of(prompt).select_related("version__spec")}
    target = _version(prompt, chosen)
    current = standing[name].version if name in standing else None
    policy = policy_for(prompt, name) if name else None
    offered = list(versions_of(prompt).select_related(None).only("number", "message")[:VERSIONS_OFFERED])
    names = sorted({*standing, *USUAL_LABELS, *([name] if name else [])}, key=label_order)
    context: dict[str, Any] = page_context(request, prompt, "versions") | {
        "form": form,
        "name": name,
        "names": names,
        "chosen": chosen,
        "versions": offered if target is None or target in offered else [*offered, target],
        "target": target,
        "current": current,
        "policy": policy if policy is not None and policy.protected else None,
        "checks": [str(CHECK_NAMES.get(one, one)) for one in policy.checks] if policy else [],
        "owners": owners_for(prompt),
        "summary": summary_of(diff_versions(current, target)) if current and target and current != target else None,
        "other": other,
        "suggested_title": target.message.split("\n")[0] if target else "",
        "labels_url": reverse("prompts:labels", args=[request.project.slug, prompt.slug]),
    }
    return render(request, "reviews/propose.html#form", context, status=status)


def _version(prompt: Prompt, number: str) -> PromptVersion | None:
    if not (number.isascii() and number.isdecimal() and len(number) <= 9):
        return None
    return versions_of(prompt).filter(number=int(number)).first()
