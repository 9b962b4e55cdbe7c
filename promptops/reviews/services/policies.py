"""What moving a label needs, and who answers for a folder. Set by admins; each setting is a row, and stays."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project, User
from promptops.accounts.policies import Permission, require
from promptops.accounts.querysets import members_of
from promptops.audit import services as audit
from promptops.core.errors import Invalid, NotFound
from promptops.prompts.models import Prompt
from promptops.prompts.services.labels import COMPUTED, NAME
from promptops.prompts.services.prompts import FOLDER_PART, MAX_FOLDER
from promptops.reviews.checks import CHECKS
from promptops.reviews.models import MAX_APPROVALS, CodeOwners, LabelPolicy
from promptops.reviews.selectors import code_owners, policies_in_force, policy_at
from promptops.reviews.services.standing import changes_in_review, person_of, settle_all

MAX_HOLD_SECONDS = 30 * 24 * 3600
_VALUES = ("protected", "required_approvals", "owners_required", "checks", "hold_seconds")


@transaction.atomic
def set_label_policy(
    actor: Actor,
    project: Project,
    label: str,
    *,
    folder: str = "",
    prompt: Prompt | None = None,
    protected: bool = True,
    required_approvals: int = 1,
    owners_required: bool = False,
    checks: Sequence[str] = (),
    hold_seconds: int = 0,
) -> LabelPolicy:
    """Say what moving a label needs, from now on: in the project, below a folder, or for one prompt (then no folder).

    Args:
        protected: False says that it is free here, although a wider policy protects it.
        checks: names of ``CHECKS`` that must pass.
        hold_seconds: seconds between the last approval and the merge.

    Raises:
        Invalid: ``errors`` by field.
        NotFound: the prompt is of another project.
    """
    require(actor, project, Permission.ADMIN)
    person = person_of(actor)
    if prompt is not None and prompt.project_id != project.pk:
        raise NotFound(_("This project has no such prompt."))
    folder = clean_folder(folder)
    checks = sorted(set(checks))
    _refuse_invalid(label, folder, prompt, required_approvals, checks, hold_seconds)
    before = policy_at(project, label, folder, prompt)
    policy = LabelPolicy(
        project=project,
        label=label,
        folder=folder,
        prompt=prompt,
        protected=protected,
        required_approvals=required_approvals,
        owners_required=owners_required,
        checks=checks,
        hold_seconds=hold_seconds,
        actor_user=person,
        actor_name=actor.name,
    )
    if before is not None and all(getattr(before, name) == getattr(policy, name) for name in _VALUES):
        return before
    policy.save(force_insert=True)
    _settle(actor, policy, "label_policy.set")
    return policy


@transaction.atomic
def remove_label_policy(actor: Actor, policy: LabelPolicy) -> None:
    """Take a policy back: a wider one counts again, or none. The rows stay as history."""
    require(actor, policy.project, Permission.ADMIN)
    person = person_of(actor)
    standing = policy_at(policy.project, policy.label, policy.folder, policy.prompt)
    if standing is None:
        return
    row = LabelPolicy(project=policy.project, label=policy.label, folder=policy.folder, prompt=policy.prompt)
    for name in _VALUES:
        setattr(row, name, getattr(standing, name))
    row.withdrawn, row.actor_user, row.actor_name = True, person, actor.name
    row.save(force_insert=True)
    _settle(actor, row, "label_policy.removed")


@transaction.atomic
def set_code_owners(actor: Actor, project: Project, folder: str, people: Sequence[User]) -> CodeOwners:
    """Say who answers for a folder ("" is the whole project); nobody: those of the folder around it do again.

    Raises:
        Invalid: somebody is not a member of the project.
    """
    require(actor, project, Permission.ADMIN)
    person = person_of(actor)
    folder = clean_folder(folder)
    ids = sorted({user.pk for user in people})
    if len(ids) != members_of(project).filter(user__in=ids).count():
        text = _("Owners of a folder are members of the project.")
        raise Invalid(text, errors={"people": [text]})
    for standing in code_owners(project):
        if standing.folder == folder and standing.people == ids:
            return standing
    row = CodeOwners.objects.create(
        project=project, folder=folder, people=ids, actor_user=person, actor_name=actor.name
    )
    row.refresh_from_db(fields=["at"])  # the database's
    audit.record(
        actor,
        "code_owners.set",
        project_id=project.pk,
        target_kind="code_owners",
        target_id=row.pk,
        detail={"owners": row.pk, "folder": folder, "people": ids},
    )
    for label in {policy.label for policy in policies_in_force(project) if policy.owners_required}:
        settle_all(changes_in_review(project, label))
    return row


def clean_folder(folder: str) -> str:
    """Return the folder as prompts have it. Raises Invalid."""
    parts = [part.strip() for part in unicodedata.normalize("NFC", folder).split("/") if part.strip()]
    cleaned = "/".join(parts)
    if len(cleaned) > MAX_FOLDER or not all(FOLDER_PART.fullmatch(part) for part in parts):
        text = _("Use names between slashes, such as “support/email”, at most 200 characters.")
        raise Invalid(text, errors={"folder": [text]})
    return cleaned


def _refuse_invalid(
    label: str,
    folder: str,
    prompt: Prompt | None,
    required_approvals: int,
    checks: Sequence[str],
    hold_seconds: int,
) -> None:
    errors: dict[str, list[str]] = {}
    if not NAME.fullmatch(label) or label == COMPUTED:
        errors["label"] = [_("Choose a label that can be moved, such as “production”.")]
    if folder and prompt is not None:
        errors["folder"] = [_("A policy is for a folder or for a prompt, not for both.")]
    if not 1 <= required_approvals <= MAX_APPROVALS:
        errors["required_approvals"] = [_("Between 1 and %d approvals.") % MAX_APPROVALS]
    if unknown := [name for name in checks if name not in CHECKS]:
        told = {"unknown": ", ".join(unknown)[:200], "known": ", ".join(CHECKS)}
        errors["checks"] = [_("There is no check %(unknown)s. There are: %(known)s.") % told]
    if not 0 <= hold_seconds <= MAX_HOLD_SECONDS:
        errors["hold_seconds"] = [_("Between 0 and %d seconds (30 days).") % MAX_HOLD_SECONDS]
    if errors:
        raise Invalid(_("The policy was not saved: please correct what is marked."), errors=errors)


def _settle(actor: Actor, policy: LabelPolicy, action: str) -> None:
    """Audit a policy, and look again at what is in review."""
    policy.refresh_from_db(fields=["at"])  # the database's
    audit.record(
        actor,
        action,
        project_id=policy.project_id,
        target_kind="label_policy",
        target_id=policy.pk,
        detail={
            "policy": policy.pk,
            "label": policy.label,
            "folder": policy.folder,
            "prompt": policy.prompt_id,
            **({} if policy.withdrawn else {name: getattr(policy, name) for name in _VALUES}),
        },
    )
    settle_all(changes_in_review(policy.project, policy.label))
