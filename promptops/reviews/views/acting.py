"""What people do with a change request: say something, decide, amend, merge, close. The answer is the page as it then
stands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from django import forms
from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.errors import AppError, Conflict, Forbidden, Invalid
from promptops.core.htmx import is_fragment, redirect, render, toast
from promptops.prompts.selectors import get_version
from promptops.reviews import services
from promptops.reviews.forms import CommentForm, VerdictForm
from promptops.reviews.models import ChangeRequest
from promptops.reviews.selectors import get_comment, standing_of
from promptops.reviews.views.access import change_of
from promptops.reviews.views.detail import review_context

P = ParamSpec("P")
Act = Callable[Concatenate[ProjectRequest, ChangeRequest, P], str]


def change_action(permission: Permission) -> Callable[[Act[P]], Callable[..., HttpResponseBase]]:
    """A POST on a change request: the function does it and returns what to tell; a refusal is told at its form."""

    def decorate(act: Act[P]) -> Callable[..., HttpResponseBase]:
        @project_view(permission)
        def view(request: ProjectRequest, number: int, *args: Any, **kwargs: Any) -> HttpResponseBase:
            change = change_of(request, number)
            try:
                text = act(request, change, *args, **kwargs)
            except (Conflict, Invalid, Forbidden) as error:
                return _refused(request, change, error)
            return _acted(request, change, text)

        functools.update_wrapper(view, act, updated=())  # its name and what it says; not its attributes
        return require_POST(view)

    return decorate


@change_action(Permission.WRITE)
def comment(request: ProjectRequest, change: ChangeRequest) -> str:
    """Remark on a line or on the whole, suggest a text for a line, or reply."""
    given = _clean(CommentForm(request.POST))
    services.comment(
        request.actor,
        change,
        body=given["body"],
        message_index=given["message_index"],
        line=given["line"],
        side=given["side"] or "new",
        suggestion=given["suggestion"].replace("\r\n", "\n") if given["suggests"] else None,
        reply_to=get_comment(change, given["reply_to"]) if given["reply_to"] else None,
    )
    return ""


@change_action(Permission.WRITE)
def resolve(request: ProjectRequest, change: ChangeRequest, comment_id: int) -> str:
    services.resolve_thread(request.actor, get_comment(change, comment_id))
    return ""


@change_action(Permission.WRITE)
def unresolve(request: ProjectRequest, change: ChangeRequest, comment_id: int) -> str:
    services.unresolve_thread(request.actor, get_comment(change, comment_id))
    return ""


@change_action(Permission.WRITE)
def apply(request: ProjectRequest, change: ChangeRequest, comment_id: int) -> str:
    """Put a suggestion into the text: a new version, which is the candidate from then on."""
    version = services.apply_suggestion(request.actor, get_comment(change, comment_id))
    return _("Version %d has the suggestion, and is the candidate now. Whoever approved looks again.") % version.number


@change_action(Permission.REVIEW)
def verdict(request: ProjectRequest, change: ChangeRequest) -> str:
    """Approve, request changes, or only say something."""
    given = _clean(VerdictForm(request.POST))
    kind, body, expected = given["kind"], given["body"], given["expected"]
    if kind == VerdictForm.COMMENT:
        services.comment(request.actor, change, body=body)
        return ""
    if kind == VerdictForm.APPROVE:
        services.approve(request.actor, change, body=body, expected=expected)
        return _("You approved version %d.") % change.candidate.number
    services.request_changes(request.actor, change, body=body, expected=expected)
    return _("You requested changes.")


@change_action(Permission.REVIEW)
def dismiss(request: ProjectRequest, change: ChangeRequest) -> str:
    """Say that a verdict counts no more."""
    wanted = request.POST.get("reviewer", "")
    found = [one.reviewer for one in standing_of(change).verdicts if str(one.reviewer.pk) == wanted]
    if not found:
        raise Invalid(_("This person has no verdict that is in effect."))
    services.dismiss(request.actor, change, found[0], reason=request.POST.get("reason", ""))
    return _("The verdict of %s counts no more.") % found[0].name


@change_action(Permission.WRITE)
def merge(request: ProjectRequest, change: ChangeRequest) -> str:
    services.merge(request.actor, change)
    told = {"label": change.label, "number": change.candidate.number}
    return _("Merged: “%(label)s” stands at version %(number)d now.") % told


@change_action(Permission.WRITE)
def amend(request: ProjectRequest, change: ChangeRequest) -> str:
    """Propose another version instead."""
    number = request.POST.get("version", "")
    if not number.isascii() or not number.isdecimal() or len(number) > 9:
        raise Invalid(_("Choose a version."))
    version = get_version(change.prompt, number=int(number))
    services.replace_candidate(request.actor, change, version=version)
    return _("Version %d is the candidate now. Whoever approved looks again.") % version.number


@change_action(Permission.WRITE)
def request_review(request: ProjectRequest, change: ChangeRequest) -> str:
    services.request_review(request.actor, change)
    return _("It is open for review.")


@change_action(Permission.WRITE)
def withdraw(request: ProjectRequest, change: ChangeRequest) -> str:
    services.withdraw(request.actor, change, reason=request.POST.get("reason", ""))
    return _("Withdrawn. It can be opened again.")


@change_action(Permission.REVIEW)
def reject(request: ProjectRequest, change: ChangeRequest) -> str:
    services.reject(request.actor, change, reason=request.POST.get("reason", ""))
    return _("Rejected. It can be opened again.")


@change_action(Permission.WRITE)
def reopen(request: ProjectRequest, change: ChangeRequest) -> str:
    services.reopen(request.actor, change)
    return _("It is open again, and needs new approvals.")


@change_action(Permission.OWN)
def break_glass(request: ProjectRequest, change: ChangeRequest) -> str:
    """Merge without what the policy asks: the owner types the prompt's slug and says why."""
    if request.POST.get("typed", "").strip() != change.prompt.slug:
        raise Invalid(_("Type “%s”, so that nobody does this by accident.") % change.prompt.slug)
    services.break_glass(request.actor, change, reason=request.POST.get("reason", ""))
    told = {"label": change.label, "number": change.candidate.number}
    return _("“%(label)s” stands at version %(number)d now. The audit log says that you broke the glass.") % told


def _clean(form: forms.Form) -> dict[str, Any]:
    """Return what was posted. Raises Invalid: the pages send no other, so its place is not worth naming."""
    if not form.is_valid():
        raise Invalid(" ".join(str(text) for texts in form.errors.values() for text in texts))
    return form.cleaned_data


def _acted(request: ProjectRequest, change: ChangeRequest, text: str) -> HttpResponse:
    """The page as it stands now, with a short message."""
    if is_fragment(request):
        context = review_context(request, change_of(request, change.number))
        response = render(request, "reviews/detail.html#review", context)
        return toast(response, text) if text else response
    if text:
        messages.success(request, text)
    return redirect(request, "reviews:detail", request.project.slug, change.number)


def _refused(request: ProjectRequest, change: ChangeRequest, error: AppError) -> HttpResponse:
    """Say at the form what stands in the way; what was typed into it stays."""
    if is_fragment(request):
        named = error.errors if isinstance(error, Invalid) else {}
        texts = [text for texts in named.values() for text in texts] or [error.detail]
        response = render(request, "reviews/problem.html", {"texts": texts}, status=422)
        response["HX-Retarget"] = "find .form-problem"
        response["HX-Reswap"] = "innerHTML"
        return response
    messages.error(request, error.detail)
    return redirect(request, "reviews:detail", request.project.slug, change.number)
