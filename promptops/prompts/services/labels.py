"""Moving labels: the act of releasing. A move is one row of history, so "what served at 14:03?" has an answer.

A label can be protected (docs/review.md). Whether it is, and what may move it then, is known to the database alone: its
refusal is told here in words.
"""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.core.database import broken_rule
from promptops.core.errors import Conflict, Invalid, NotFound
from promptops.prompts.models import Label, LabelMove, Prompt, PromptVersion
from promptops.prompts.selectors import resolved_closure
from promptops.prompts.services.dependencies import refuse_to_break
from promptops.prompts.services.versions import clean_note, locked_prompt
from promptops.prompts.telling import tell_of_move

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,58}[a-z0-9])?")
COMPUTED = "latest"
MAX_REASON = 2000
PROTECTED = "label_protected"  # our code, and the name of the rule in the database


@transaction.atomic
def move_label(
    actor: Actor,
    prompt: Prompt,
    name: str,
    version: PromptVersion,
    *,
    reason: str = "",
    expected: int | None = None,
) -> LabelMove | None:
    """Point a label at a version; None when it stands there already.

    Args:
        expected: the version number at which the mover saw the label stand (0: nowhere). A different one is a
            Conflict, so that nobody undoes a release that they have not seen. None skips the check.

    Raises:
        Invalid: the label's name is malformed, or is ``latest``, which is computed.
        NotFound: the version is of another prompt.
        Conflict: see ``expected`` (code ``label_moved``), the prompt is archived, or the label is protected (code
            ``label_protected``): then a change request moves it. Or the version, or something live that includes this
            prompt by the label, could not be put together then (code ``include_broken``).
    """
    require(actor, prompt.project, Permission.WRITE)
    return release_label(actor, prompt, name, version, LabelMove.Authority.DIRECT, reason=reason, expected=expected)


@transaction.atomic
def release_label(
    actor: Actor,
    prompt: Prompt,
    name: str,
    version: PromptVersion | None,
    authority: LabelMove.Authority,
    *,
    reason: str = "",
    expected: int | None = None,
) -> LabelMove | None:
    """Point a label at a version (None: at nothing) by an authority that the database verifies.

    For the app that grants it: it has checked who may, and has written down by what right. Else as ``move_label``.
    """
    if version is not None and version.prompt_id != prompt.pk:
        raise NotFound(_("This prompt has no such version."))
    return _move(actor, prompt, name, version, reason, authority, expected)


def lock_label(prompt: Prompt, name: str) -> Label:
    """Return a label's row, locked until the transaction ends, its prompt's row before it; it is made where it is new.

    Raises:
        Invalid: the label's name is malformed, or is ``latest``, which is computed.
        Conflict: the prompt is archived.
    """
    locked_prompt(prompt)
    return _locked(prompt, name, create=True)


@transaction.atomic
def remove_label(
    actor: Actor, prompt: Prompt, name: str, *, reason: str = "", expected: int | None = None
) -> LabelMove | None:
    """Take a label off: ``resolve`` by it answers 404 from then on. Its history stays.

    ``expected`` as in ``move_label``. A protected label is not taken off (Conflict, code ``label_protected``), nor one
    by which something live includes this prompt (``include_broken``).
    """
    require(actor, prompt.project, Permission.WRITE)
    return _move(actor, prompt, name, None, reason, LabelMove.Authority.DIRECT, expected)


@transaction.atomic
def rollback_label(
    actor: Actor,
    prompt: Prompt,
    name: str,
    *,
    version: PromptVersion | None = None,
    reason: str = "",
    expected: int | None = None,
) -> LabelMove | None:
    """Point a label back at a version that stood under it: the one before the present one, unless another is named.

    ``expected`` as in ``move_label``.

    Raises:
        Conflict: nothing stood there before, or the named version never did (code ``never_live``).
    """
    require(actor, prompt.project, Permission.WRITE)
    # In the order in which ``_move`` locks, so that two moves never wait for each other.
    locked_prompt(prompt)
    label = _locked(prompt, name)
    _refuse_unseen(label, expected)
    lived = LabelMove.objects.filter(label=label, to_version__isnull=False).exclude(to_version_id=label.version_id)
    if version is not None:
        lived = lived.filter(to_version=version)
    move = lived.select_related("to_version").order_by("-at", "-id").first()
    if move is None:
        raise Conflict(
            _("There is nothing to roll back to: no other version has stood under this label."), code="never_live"
        )
    return _move(actor, prompt, name, move.to_version, reason, LabelMove.Authority.ROLLBACK, expected)


def _move(
    actor: Actor,
    prompt: Prompt,
    name: str,
    version: PromptVersion | None,
    reason: str,
    authority: LabelMove.Authority,
    expected: int | None,
) -> LabelMove | None:
    reason = clean_note(reason, "reason", MAX_REASON)
    locked_prompt(prompt)
    label = _locked(prompt, name, create=version is not None)
    _refuse_unseen(label, expected)
    before = label.version
    if before == version:
        return None
    move = _written(actor, label, version, reason, authority)
    audit.record(
        actor,
        _AUDITED[authority],
        project_id=prompt.project_id,
        target_kind="prompt",
        target_id=prompt.pk,
        detail={
            "label": name,
            "from": before.number if before else None,
            "to": version.number if version else None,
            "move": move.pk,
        },
    )
    tell_of_move(actor, prompt, name, move)
    return move


_AUDITED = {
    LabelMove.Authority.DIRECT: "label.moved",
    LabelMove.Authority.ROLLBACK: "label.rolled_back",
    LabelMove.Authority.MERGE: "label.merged",
    LabelMove.Authority.BREAK_GLASS: "label.glass_broken",
}


def _written(
    actor: Actor, label: Label, version: PromptVersion | None, reason: str, authority: LabelMove.Authority
) -> LabelMove:
    before = label.version
    # A machine whose clock is behind must not write history in the wrong order.
    label.version, label.moved_at = version, max(timezone.now(), label.moved_at)
    try:
        with transaction.atomic():
            label.save(update_fields=["version", "moved_at"])
            refuse_to_break(label.prompt, label=label)
            return LabelMove.objects.create(
                label=label,
                from_version=before,
                to_version=version,
                closure_sha256=resolved_closure(version) if version else "",
                authority=authority,
                reason=reason,
                actor_kind=actor.kind,
                actor_user=actor.user,
                actor_name=actor.name,
                at=label.moved_at,
            )
    except IntegrityError as error:
        if broken_rule(error) != PROTECTED:
            raise
        raise Conflict(
            _(
                "“%s” is protected: it moves by an approved change request, or back to a version that it stood at "
                "before. Open a change request for the version."
            )
            % label.name,
            code=PROTECTED,
            label=label.name,
        ) from None


def _refuse_unseen(label: Label, expected: int | None) -> None:
    """Raise Conflict where the label does not stand where the mover saw it (0: nowhere; None: did not look)."""
    standing = label.version
    if expected is not None and expected != (standing.number if standing else 0):
        raise Conflict(
            _("“%(label)s” stands at %(where)s now; somebody moved it meanwhile. Look again before you move it.")
            % {"label": label.name, "where": standing or _("no version")},
            code="label_moved",
            version=standing.number if standing else None,
        )


def _locked(prompt: Prompt, name: str, *, create: bool = False) -> Label:
    """Return the label's row, locked: two moves of one label happen one after the other."""
    if not NAME.fullmatch(name) or name == COMPUTED:
        text = (
            _("“latest” is computed: it is always the newest version, and cannot be moved.")
            if name == COMPUTED
            else _("Use lower-case letters, digits, hyphens and underscores, at most 60, such as “production”.")
        )
        raise Invalid(text, errors={"label": [text]})
    labels = Label.objects.select_for_update(of=("self",)).select_related("version")
    if create:
        Label.objects.bulk_create(
            [Label(project_id=prompt.project_id, prompt=prompt, name=name)], ignore_conflicts=True
        )
    label = labels.filter(prompt=prompt, name=name).first()
    if label is None:
        raise NotFound(_("This prompt has no label “%s”.") % name)
    return label
