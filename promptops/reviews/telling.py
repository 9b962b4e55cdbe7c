"""What people and webhooks are told of change requests, in the transaction in which it happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.urls import reverse

from promptops.accounts.actors import Actor
from promptops.accounts.models import Role, User
from promptops.accounts.querysets import members_of
from promptops.notifications.services import emit, notify
from promptops.prompts.models import Prompt
from promptops.reviews.models import ChangeRequest, ReviewComment
from promptops.reviews.notices import EVENTS

_TOLD = {event.key for event in EVENTS}
_TO_REVIEWERS = {
    "proposed": "review.requested",
    "opened": "review.requested",
    "edited": "review.requested",
    "amended": "review.amended",
    "rebased": "review.amended",
    "reopened": "review.amended",
}
_TO_AUTHOR = {"approved": "review.approved", "changes_requested": "review.changes_requested"}
_CLOSED = ("merged", "rejected", "withdrawn", "glass_broken")


def tell_of_change(actor: Actor, action: str, change: ChangeRequest, detail: Mapping[str, Any]) -> None:
    """``action`` and ``detail`` are those of the audit event: ``proposed``, ``merged`` …"""
    if f"change.{action}" in _TOLD:
        payload = {
            "change": {"number": change.number, "state": change.state},
            "prompt": {"id": change.prompt_id, "slug": change.prompt.slug},
            "label": change.label,
            "candidate": change.candidate.number,
            "replaces": change.replaces.number if change.replaces else None,
        }
        emit(change.project, f"change.{action}", payload, url=_page(change), actor=actor)
    if action in _TO_REVIEWERS and change.state != ChangeRequest.State.DRAFT:
        if action != "edited" or "reviewers" in detail.get("fields", ()):
            _tell(actor, change, change.reviewers.all(), _TO_REVIEWERS[action])
    elif action in _TO_AUTHOR:
        _tell(actor, change, [change.author], _TO_AUTHOR[action])
    elif action in _CLOSED:
        _tell(actor, change, [change.author, *change.reviewers.all()], "review.closed")
        if action == "glass_broken":
            tell_of_broken_glass(actor, change.prompt, change.label, url=_page(change))


def tell_of_comment(actor: Actor, comment: ReviewComment, change: ChangeRequest) -> None:
    """Its author hears of it, and whoever wrote in the thread before."""
    thread = [] if comment.thread is None else [comment.thread, *comment.thread.replies.all()]
    people = [one.author for one in thread if one.author is not None]
    _tell(actor, change, [change.author, *people], "review.commented")


def tell_of_broken_glass(actor: Actor, prompt: Prompt, label: str, *, url: str = "") -> None:
    """Every admin hears of it."""
    admins = members_of(prompt.project).filter(role__in=[Role.ADMIN, Role.OWNER])
    page = url or reverse("prompts:labels", args=[prompt.project.slug, prompt.slug])
    params = {"label": label, "prompt": prompt.slug}
    notify(prompt.project, [one.user for one in admins], "review.glass_broken", params=params, url=page, actor=actor)


def _tell(actor: Actor, change: ChangeRequest, people: Iterable[User], kind: str) -> None:
    params: dict[str, str | int] = {"number": change.number, "title": change.title}
    if kind == "review.closed":
        params["state"] = change.state
    notify(change.project, people, kind, params=params, url=_page(change), actor=actor)


def _page(change: ChangeRequest) -> str:
    return reverse("reviews:detail", args=[change.project.slug, change.number])
