"""Approving, requesting changes, and dismissing what was said."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import User
from promptops.accounts.policies import Permission, can, require
from promptops.core.errors import Conflict, Forbidden, Invalid
from promptops.prompts.services.versions import clean_note
from promptops.reviews.models import ChangeRequest, Verdict
from promptops.reviews.selectors import authors_of, standing_of
from promptops.reviews.services.changes import MAX_TEXT
from promptops.reviews.services.standing import locked_change, person_of, record, settle


@transaction.atomic
def approve(actor: Actor, change: ChangeRequest, *, body: str = "", expected: int | None = None) -> Verdict:
    """Approve the candidate as it is; the approval is bound to its closure hash.

    Args:
        expected: the number of the version that the reviewer looked at; another one is a Conflict (``amended``).

    Raises:
        Forbidden: a token (``needs_person``), an author of it (``own_change``), or a role below reviewer.
        Conflict: it is not in review (``wrong_state``).
    """
    require(actor, change.project, Permission.REVIEW)
    if actor.kind != "user":
        raise Forbidden(_("An approval is a person's: approve it in the browser, signed in."), code="needs_person")
    return _give(actor, change, Verdict.Kind.APPROVE, body, expected)


@transaction.atomic
def request_changes(actor: Actor, change: ChangeRequest, *, body: str, expected: int | None = None) -> Verdict:
    """Say that it must not be merged as it is, and why. A token may, as the person who made it.

    Raises as ``approve``, and Invalid without a reason.
    """
    require(actor, change.project, Permission.REVIEW)
    if not body.strip():
        text = _("Say what should change.")
        raise Invalid(text, errors={"body": [text]})
    return _give(actor, change, Verdict.Kind.REQUEST_CHANGES, body, expected)


@transaction.atomic
def dismiss(actor: Actor, change: ChangeRequest, reviewer: User, *, reason: str) -> Verdict:
    """Say that a reviewer's verdict counts no more: the reviewer, or an admin.

    Raises:
        Forbidden: somebody else, or a token.
        Invalid: no reason.
        Conflict: this person has no verdict that is in effect (``no_verdict``).
    """
    require(actor, change.project, Permission.REVIEW)
    person = person_of(actor)
    if actor.kind != "user" or (person != reviewer and not can(actor, change.project, Permission.ADMIN)):
        raise Forbidden(_("A verdict is dismissed by whoever gave it, or by an admin."))
    if not reason.strip():
        text = _("Say why, for the reviewer.")
        raise Invalid(text, errors={"reason": [text]})
    change = locked_change(change, *ChangeRequest.IN_REVIEW)
    if reviewer not in [one.reviewer for one in standing_of(change).verdicts]:
        raise Conflict(_("%s has no verdict that is in effect.") % reviewer.name, code="no_verdict")
    return _write(actor, change, Verdict.Kind.DISMISS, reviewer, reason)


def _give(actor: Actor, change: ChangeRequest, kind: Verdict.Kind, body: str, expected: int | None) -> Verdict:
    person = person_of(actor)
    change = locked_change(change, *ChangeRequest.IN_REVIEW)
    if expected is not None and expected != change.candidate.number:
        raise Conflict(
            _("Version %(now)d is proposed now, not version %(then)d: look at it first.")
            % {"now": change.candidate.number, "then": expected},
            code="amended",
            candidate=change.candidate.number,
        )
    if person.pk in authors_of(change):
        raise Forbidden(
            _("You wrote some of what is proposed, or proposed it. Somebody else has to review it."), code="own_change"
        )
    return _write(actor, change, kind, person, body)


def _write(actor: Actor, change: ChangeRequest, kind: Verdict.Kind, reviewer: User, body: str) -> Verdict:
    verdict = Verdict.objects.create(
        change=change,
        round=change.round,
        kind=kind,
        reviewer=reviewer,
        version=change.candidate,
        closure_sha256=change.candidate.closure_sha256,
        body=clean_note(body, "body", MAX_TEXT),
        actor_user=person_of(actor),
        actor_name=actor.name,
    )
    verdict.refresh_from_db(fields=["at", "round"])  # the database's
    action = {"approve": "approved", "request_changes": "changes_requested", "dismiss": "verdict_dismissed"}[kind]
    detail = {"candidate": change.candidate.number, "sha256": verdict.closure_sha256, "reviewer": reviewer.pk}
    record(actor, action, change, verdict=verdict.pk, **detail)
    settle(change)
    return verdict
