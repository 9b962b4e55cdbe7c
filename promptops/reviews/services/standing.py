"""What the services on change requests share: the person behind an actor, the locked row, and the state that follows
from verdicts and policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project, User
from promptops.audit import services as audit
from promptops.core.errors import Conflict, Forbidden
from promptops.prompts.models import Label, Prompt, PromptVersion
from promptops.reviews.checks import CHECKS
from promptops.reviews.models import ChangeRequest, CheckResult
from promptops.reviews.selectors import standing_of
from promptops.reviews.telling import tell_of_change

State = ChangeRequest.State


def person_of(actor: Actor) -> User:
    """Return the person who answers for the actor. Raises Forbidden for a token that a command made."""
    if actor.user is None:
        raise Forbidden(
            _("This needs a person to answer for it; this token was made without one."), code="needs_person"
        )
    return actor.user


def live_version(prompt: Prompt, label: str) -> PromptVersion | None:
    """Return the version that stands under a label now."""
    found = Label.objects.select_related("version__spec").filter(prompt=prompt, name=label).first()
    return found.version if found else None


def locked_change(change: ChangeRequest, *states: str) -> ChangeRequest:
    """Return the change request as it stands now, its row locked until the transaction ends.

    Who needs the prompt's row too locks that one first.

    Raises:
        Conflict: it is in none of ``states`` (code ``wrong_state``).
    """
    # The lock first, then the row with what it points at: in one query, a row that changed while we waited for it would
    # be joined with what it pointed at before.
    ChangeRequest.objects.select_for_update(no_key=True).values_list("pk").get(pk=change.pk)
    rows = ChangeRequest.objects.select_related("project", "prompt__project", "candidate__spec", "replaces__spec")
    locked = rows.get(pk=change.pk)
    if states and locked.state not in states:
        raise Conflict(
            _("This change request is %(state)s, so that cannot be done.")
            % {"state": locked.get_state_display().lower()},
            code="wrong_state",
            state=locked.state,
        )
    return locked


def settle(change: ChangeRequest) -> ChangeRequest:
    """Give a locked change request that is in review the state that follows from its verdicts and policy; save it."""
    change.updated_at = timezone.now()
    change.save(update_fields=["updated_at", "state"])
    if change.state in ChangeRequest.IN_REVIEW:
        standing = standing_of(change)
        codes = standing.codes
        if "outdated" in codes:
            change.state = State.OUTDATED
        elif "changes_requested" in codes:
            change.state = State.CHANGES_REQUESTED
        elif "approvals" in codes or "owners" in codes:
            change.state = State.OPEN
        else:
            change.state = State.APPROVED
        change.required_approvals = standing.required_approvals
        change.save(update_fields=["state", "required_approvals"])
    return change


def settle_all(changes: Iterable[ChangeRequest]) -> None:
    """Settle those that are in review, after a policy changed."""
    for change in sorted(changes, key=lambda one: one.pk):
        settle(locked_change(change))


def run_checks(change: ChangeRequest) -> None:
    """Write down what every check says of the candidate against what it replaces."""
    CheckResult.objects.bulk_create(
        CheckResult(
            change=change,
            name=name,
            version=change.candidate,
            replaces=change.replaces,
            passed=outcome.passed,
            findings=outcome.findings,
        )
        for name, check in CHECKS.items()
        for outcome in [check(change.candidate, change.replaces)]
    )


def record(actor: Actor, action: str, change: ChangeRequest, **detail: Any) -> None:
    """Audit something that happened to a change request, and tell whom it concerns."""
    audit.record(
        actor,
        f"change.{action}",
        project_id=change.project_id,
        target_kind="change",
        target_id=change.pk,
        detail={"number": change.number, "label": change.label, **detail},
    )
    tell_of_change(actor, action, change, detail)


def changes_in_review(project: Project, label: str) -> list[ChangeRequest]:
    """Return the change requests of a label that are in review."""
    return list(ChangeRequest.objects.filter(project=project, label=label, state__in=ChangeRequest.IN_REVIEW))
