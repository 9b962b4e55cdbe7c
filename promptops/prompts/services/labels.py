"""Moving labels: the act of releasing. A move is one row of history, so "what served at 14:03?" has an answer."""

from __future__ import annotations

import re

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.core.errors import Conflict, Invalid, NotFound
from promptops.prompts.models import Label, LabelMove, Prompt, PromptVersion
from promptops.prompts.services.versions import clean_note, locked_prompt

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,58}[a-z0-9])?")
COMPUTED = "latest"
MAX_REASON = 2000


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
        Conflict: see ``expected`` (code ``label_moved``), or the prompt is archived.
    """
    require(actor, prompt.project, Permission.WRITE)
    if version.prompt_id != prompt.pk:
        raise NotFound(_("This prompt has no such version."))
    return _move(actor, prompt, name, version, reason, LabelMove.Authority.DIRECT, expected)


@transaction.atomic
def remove_label(
    actor: Actor, prompt: Prompt, name: str, *, reason: str = "", expected: int | None = None
) -> LabelMove | None:
    """Take a label off: ``resolve`` by it answers 404 from then on. Its history stays.

    ``expected`` as in ``move_label``.
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
    # A machine whose clock is behind must not write history in the wrong order.
    label.version, label.moved_at = version, max(timezone.now(), label.moved_at)
    label.save(update_fields=["version", "moved_at"])
    move = LabelMove.objects.create(
        label=label,
        from_version=before,
        to_version=version,
        closure_sha256=version.closure_sha256 if version else "",
        authority=authority,
        reason=reason,
        actor_kind=actor.kind,
        actor_user=actor.user,
        actor_name=actor.name,
        at=label.moved_at,
    )
    audit.record(
        actor,
        "label.rolled_back" if authority == LabelMove.Authority.ROLLBACK else "label.moved",
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
    return move


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
