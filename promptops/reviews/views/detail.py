"""The page on which a change request is reviewed."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest
from promptops.accounts.policies import Permission, can
from promptops.core.htmx import render
from promptops.prompts.querysets import labels_of, versions_of
from promptops.reviews.diff_lines import reviewed_message, reviewed_messages
from promptops.reviews.models import ChangeRequest
from promptops.reviews.presenters import (
    STATE_ICONS,
    by_place,
    callers,
    compared,
    headline,
    requirements,
    shown_checks,
    story,
    threads_for,
)
from promptops.reviews.selectors import authors_of, standing_of
from promptops.reviews.views.access import change_view

VIEW = "review_view"
VERSIONS_OFFERED = 50


@require_safe
@change_view(Permission.READ)
def detail(request: ProjectRequest, change: ChangeRequest) -> HttpResponse:
    """What changes, what was said, what is missing. ``?view=inline|sides`` is remembered."""
    wanted = request.GET.get("view")
    if wanted in ("inline", "sides") and request.session.get(VIEW, "sides") != wanted:
        request.session[VIEW] = wanted
    return render(request, "reviews/detail.html#review", review_context(request, change))


@require_safe
@change_view(Permission.READ)
def message_lines(request: ProjectRequest, change: ChangeRequest, place: int) -> HttpResponse:
    """The lines of one message that the page left out, fetched when somebody comes to it."""
    inline = request.session.get(VIEW) == "inline"
    comparison = compared(change)
    if place >= len(comparison.messages):
        raise Http404
    message = reviewed_message(comparison, place, inline=inline)
    context = {"message": message, "inline": inline, "may_comment": can_comment(request), "change": change}
    return render(request, "reviews/message_lines.html", context)


def can_comment(request: ProjectRequest) -> bool:
    return can(request.actor, request.project, Permission.WRITE)


def review_context(request: ProjectRequest, change: ChangeRequest) -> dict[str, Any]:
    """What the page shows."""
    comparison = compared(change)
    standing = standing_of(change)
    inline = request.session.get(VIEW) == "inline"
    may_write = can_comment(request)
    threads = threads_for(change, may_write=may_write)
    authors = authors_of(change)
    reviewers = list(change.reviewers.order_by("name", "pk"))
    given = {one.reviewer.pk: one for one in standing.verdicts}
    can_review = can(request.actor, request.project, Permission.REVIEW)
    administers = can(request.actor, request.project, Permission.ADMIN)
    newest = versions_of(change.prompt).select_related(None).defer("spec__content")
    return {
        "change": change,
        "prompt": change.prompt,
        "standing": standing,
        "state_icon": STATE_ICONS[ChangeRequest.State(change.state)],
        "headline": headline(change, standing),
        "requirements": requirements(change, standing),
        "checks": shown_checks(standing, comparison),
        "comparison": comparison,
        "reviewed": reviewed_messages(comparison, by_place(threads, change), inline=inline),
        "inline": inline,
        "story": story(change, threads),
        "unresolved": sum(not one.is_resolved for one in threads if one.has_place),
        "callers": callers(change) if comparison.summary.breaking else [],
        "people": [
            *((person, given.get(person.pk)) for person in reviewers),
            *((one.reviewer, one) for one in standing.verdicts if one.reviewer not in reviewers),
        ],
        "is_author": request.user.pk in authors,
        "may_comment": may_write,
        "may_write": may_write and change.prompt.archived_at is None,
        "may_review": can_review and request.user.pk not in authors and change.state in ChangeRequest.IN_REVIEW,
        "dismissible": [
            one.reviewer
            for one in standing.verdicts
            if can_review and change.state in ChangeRequest.IN_REVIEW and (administers or one.reviewer == request.user)
        ],
        "may_reject": can_review and change.is_undecided,
        "may_withdraw": may_write and change.is_undecided and (request.user.pk == change.author_id or administers),
        "may_break_glass": can(request.actor, request.project, Permission.OWN)
        and change.is_undecided
        and not standing.can_merge,
        "is_live": _is_live(change),
        "own_verdict": given.get(request.user.pk),
        "offered": [one for one in newest[:VERSIONS_OFFERED] if one.pk not in (change.candidate_id, change.replaces_id)]
        if change.is_undecided and may_write
        else [],
    }


def _is_live(change: ChangeRequest) -> bool:
    """Whether the label stands at the candidate: then one click takes it back."""
    return labels_of(change.prompt).filter(name=change.label, version=change.candidate_id).exists()
