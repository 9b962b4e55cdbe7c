"""Merging: an approved candidate takes its place under the label. And the way past it, for emergencies."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.policies import Permission, require
from promptops.core.database import broken_rule
from promptops.core.errors import AppError, Conflict, Forbidden, Invalid
from promptops.prompts.models import Label, LabelMove, Prompt, PromptVersion
from promptops.prompts.services import lock_label, release_label
from promptops.prompts.services.labels import MAX_REASON
from promptops.prompts.services.versions import clean_note, locked_prompt
from promptops.reviews.models import ChangeRequest, Release
from promptops.reviews.selectors import Blocker, standing_of
from promptops.reviews.services.changes import close
from promptops.reviews.services.standing import State, locked_change, person_of, record
from promptops.reviews.telling import tell_of_broken_glass


@transaction.atomic
def merge(actor: Actor, change: ChangeRequest) -> LabelMove:
    """Point the label at the candidate, where nothing stands in the way at this moment. The database checks it again.

    Raises:
        Conflict: something does: ``blockers`` says what, by code and text. The code is ``outdated`` where the label
            moved (see ``rebase``), ``wrong_state`` for a draft or a closed request, else ``not_mergeable``.
    """
    require(actor, change.project, Permission.WRITE)
    person_of(actor)
    prompt = locked_prompt(change.prompt)
    change = locked_change(change)
    refuse_blocked(standing_of(change).blockers)
    label = lock_label(prompt, change.label)
    _grant(actor, label, change.candidate, Release.Authority.MERGE, change=change)
    move = release_label(
        actor,
        prompt,
        change.label,
        change.candidate,
        LabelMove.Authority.MERGE,
        reason=f"#{change.number} {change.title}",
    )
    return _merged(actor, change, move, "merged")


@transaction.atomic
def break_glass(actor: Actor, change: ChangeRequest, *, reason: str) -> LabelMove:
    """Merge without what the policy asks for. The project's owner alone, in person, with a reason; audited as such.

    Raises:
        Forbidden: anybody else, or a token.
        Invalid: no reason.
        Conflict: it is closed (``wrong_state``), or the candidate stands there already.
    """
    reason = _owner_says(actor, change.prompt, reason)
    prompt = locked_prompt(change.prompt)
    change = locked_change(change, *ChangeRequest.UNDECIDED)
    label = lock_label(prompt, change.label)
    _grant(actor, label, change.candidate, Release.Authority.BREAK_GLASS, change=change, reason=reason)
    move = release_label(actor, prompt, change.label, change.candidate, LabelMove.Authority.BREAK_GLASS, reason=reason)
    return _merged(actor, change, move, "glass_broken")


@transaction.atomic
def break_glass_label(
    actor: Actor, prompt: Prompt, name: str, version: PromptVersion | None, *, reason: str, expected: int | None = None
) -> LabelMove:
    """Point a label at any version of its prompt (None: take it off) without a change request. As ``break_glass``."""
    reason = _owner_says(actor, prompt, reason)
    label = lock_label(prompt, name)
    _grant(actor, label, version, Release.Authority.BREAK_GLASS, reason=reason)
    move = release_label(
        actor, prompt, name, version, LabelMove.Authority.BREAK_GLASS, reason=reason, expected=expected
    )
    if move is None:
        raise _standing_there(label)
    tell_of_broken_glass(actor, prompt, name)
    return move


def refuse_blocked(blockers: list[Blocker]) -> None:
    """Raise Conflict where something stands in the way of a merge."""
    if not blockers:
        return
    codes = {one.code for one in blockers}
    code = "outdated" if "outdated" in codes else "wrong_state" if codes & {"draft", "closed"} else "not_mergeable"
    raise Conflict(
        _("It cannot be merged. %s") % " ".join(one.text for one in blockers),
        code=code,
        blockers=[{"code": one.code, "text": one.text} for one in blockers],
    )


def _grant(
    actor: Actor,
    label: Label,
    version: PromptVersion | None,
    authority: Release.Authority,
    *,
    change: ChangeRequest | None = None,
    reason: str = "",
) -> None:
    """Write down by what right the locked label moves next. The database verifies it."""
    if label.version == version:
        raise _standing_there(label)
    try:
        with transaction.atomic():
            Release.objects.create(
                project_id=label.project_id,
                label=label,
                from_version=label.version,
                to_version=version,
                authority=authority,
                change=change,
                reason=reason,
                actor_user=person_of(actor),
            )
    except IntegrityError as error:
        # Somebody lost a role, or a policy was tightened, between our look and the database's.
        if broken_rule(error) not in ("change_blocked", "review_rule") or change is None:
            raise
        refuse_blocked(standing_of(change).blockers)
        raise Conflict(_("Something changed in this moment. Look again."), code="not_mergeable") from error


def _merged(actor: Actor, change: ChangeRequest, move: LabelMove | None, action: str) -> LabelMove:
    if move is None:  # never: the label stood elsewhere, and we hold its row
        raise Conflict(_("Something changed in this moment. Look again."), code="not_mergeable")
    close(actor, change, State.MERGED, move.reason if move.authority == LabelMove.Authority.BREAK_GLASS else "")
    record(
        actor,
        action,
        change,
        **{
            "from": move.from_version.number if move.from_version else None,
            "to": change.candidate.number,
            "sha256": change.candidate.closure_sha256,
            "move": move.pk,
        },
    )
    return move


def _owner_says(actor: Actor, prompt: Prompt, reason: str) -> str:
    require(actor, prompt.project, Permission.OWN)
    if actor.kind != "user":
        raise Forbidden(_("The project's owner breaks the glass in person, in the browser."), code="needs_person")
    reason = clean_note(reason, "reason", MAX_REASON)
    if not reason:
        text = _("Say why this cannot wait for a review. It is written into the audit log under your name.")
        raise Invalid(text, errors={"reason": [text]})
    return reason


def _standing_there(label: Label) -> AppError:
    return Conflict(
        _("“%(label)s” stands there already.") % {"label": label.name},
        code="already_live",
    )
