"""Reads of change requests beyond one queryset. What decides over a merge is asked of the database's own functions,
the ones that its triggers ask: page and database cannot disagree.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from promptops.accounts.models import Project, Role, User
from promptops.accounts.querysets import members_of
from promptops.audit.models import AuditEvent
from promptops.audit.querysets import events_of
from promptops.core.errors import NotFound
from promptops.prompts.models import Prompt
from promptops.reviews.models import ChangeRequest, CheckResult, CodeOwners, LabelPolicy, ReviewComment
from promptops.reviews.querysets import changes_of, check_results_of, comments_of, owner_rows_of, policies_of

REVIEWER_ROLES = [role.value for role in Role if role.includes(Role.REVIEWER)]


@dataclass(frozen=True)
class VerdictInEffect:
    """A reviewer's newest verdict of this round. ``counts``: by somebody who may review it now, of this candidate."""

    verdict_id: int
    reviewer: User
    kind: str
    at: dt.datetime
    counts: bool
    is_owner: bool


@dataclass(frozen=True)
class Blocker:
    """Why it cannot be merged: a ``code`` for programs, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Standing:
    """Where a change request stands at this moment, as the database sees it."""

    policy: LabelPolicy | None
    verdicts: list[VerdictInEffect]
    blockers: list[Blocker]
    checks: list[CheckResult]

    @property
    def is_protected(self) -> bool:
        return self.policy is not None and self.policy.protected

    @property
    def required_approvals(self) -> int:
        """How many approvals the policy in force wants; 0 where the label is not protected."""
        return self.policy.required_approvals if self.policy is not None and self.policy.protected else 0

    @property
    def required_checks(self) -> list[str]:
        """The names of the checks that must pass; none where the label is not protected."""
        return self.policy.checks if self.policy is not None and self.policy.protected else []

    @property
    def approvals(self) -> list[VerdictInEffect]:
        """The approvals that count."""
        return [one for one in self.verdicts if one.kind == "approve" and one.counts]

    @property
    def objections(self) -> list[VerdictInEffect]:
        """The requests for changes that count."""
        return [one for one in self.verdicts if one.kind == "request_changes" and one.counts]

    @property
    def can_merge(self) -> bool:
        return not self.blockers

    @property
    def codes(self) -> list[str]:
        return [one.code for one in self.blockers]

    @property
    def hold_until(self) -> dt.datetime | None:
        """When the hold after the last approval ends; None without protection, a hold or an approval."""
        if self.policy is None or not self.policy.protected or not self.policy.hold_seconds or not self.approvals:
            return None
        return max(one.at for one in self.approvals) + dt.timedelta(seconds=self.policy.hold_seconds)


def get_change(project: Project, number: int) -> ChangeRequest:
    """Return a change request by its number. Raises NotFound."""
    change = changes_of(project).filter(number=number).first() if 0 < number < 2**31 else None
    if change is None:
        raise NotFound(_("This project has no change request #%s.") % number)
    return change


def get_comment(change: ChangeRequest, comment_id: int) -> ReviewComment:
    """Return a comment of a change request. Raises NotFound."""
    comment = comments_of(change).filter(pk=comment_id).first() if 0 < comment_id < 2**63 else None
    if comment is None:
        raise NotFound(_("This change request has no comment %s.") % comment_id)
    return comment


def search_changes(
    project: Project,
    *,
    prompt: Prompt | None = None,
    label: str = "",
    states: Sequence[str] = (),
    author_id: int | None = None,
    reviewer_id: int | None = None,
) -> QuerySet[ChangeRequest]:
    """Return the change requests that fit; ``reviewer_id`` finds those whose review was asked of that person."""
    changes = changes_of(project)
    if prompt is not None:
        changes = changes.filter(prompt=prompt)
    if label:
        changes = changes.filter(label=label)
    if states:
        changes = changes.filter(state__in=states)
    if author_id is not None:
        changes = changes.filter(author_id=author_id)
    if reviewer_id is not None:
        changes = changes.filter(reviewers=reviewer_id)
    return changes


def standing_of(change: ChangeRequest) -> Standing:
    """Return where a change request stands now: policy, verdicts in effect, checks, and what is in the way."""
    policy = policy_for(change.prompt, change.label)
    rows = _rows("SELECT * FROM reviews_verdicts(%s) ORDER BY verdict_id", change.pk)
    people = User.objects.in_bulk([row[1] for row in rows])
    verdicts = [VerdictInEffect(row[0], people[row[1]], *row[2:]) for row in rows]
    codes: list[str] = _rows("SELECT reviews_blockers(%s)", change.pk)[0][0]
    checks = newest_checks(change)
    return Standing(policy, verdicts, [Blocker(code, _blocker_text(code, change)) for code in codes], checks)


def newest_checks(change: ChangeRequest) -> list[CheckResult]:
    """Return the newest result of each check for the present candidate, by name."""
    results = check_results_of(change).filter(version=change.candidate_id, replaces=change.replaces_id)
    return sorted({one.name: one for one in reversed(list(results))}.values(), key=lambda one: one.name)


def authors_of(change: ChangeRequest) -> set[int]:
    """Return the ids of the people who wrote any of it or proposed it: they do not review it."""
    return {row[0] for row in _rows("SELECT * FROM reviews_authors(%s)", change.pk)}


def policy_for(prompt: Prompt, label: str) -> LabelPolicy | None:
    """Return the policy in force for a label: the prompt's own, else the longest folder's, else the project's."""
    rows = _rows("SELECT id FROM reviews_policy_in_force(%s, %s)", prompt.pk, label)
    return LabelPolicy.objects.select_related("prompt").get(pk=rows[0][0]) if rows else None


def is_protected(prompt: Prompt, label: str) -> bool:
    """Return whether the label moves by review alone."""
    policy = policy_for(prompt, label)
    return policy is not None and policy.protected


def policies_in_force(project: Project) -> list[LabelPolicy]:
    """Return the policies of a project, one a place: by label, the project's own first, then folders, then prompts."""
    newest = policies_of(project).order_by("label", "prompt", "folder", "-id").distinct("label", "prompt", "folder")
    standing = [one for one in newest if not one.withdrawn]
    return sorted(standing, key=lambda one: (one.label, one.prompt is not None, one.folder, one.prompt_id or 0))


def policy_at(project: Project, label: str, folder: str, prompt: Prompt | None) -> LabelPolicy | None:
    """Return the policy in force of exactly that place."""
    for policy in policies_in_force(project):
        if (policy.label, policy.folder, policy.prompt) == (label, folder, prompt):
            return policy
    return None


def get_policy(project: Project, policy_id: int) -> LabelPolicy:
    """Return a policy that is in force. Raises NotFound."""
    for policy in policies_in_force(project):
        if policy.pk == policy_id:
            return policy
    raise NotFound(_("This project has no label policy %s in force.") % policy_id)


def code_owners(project: Project) -> list[CodeOwners]:
    """Return the owners in force by folder; "" is the whole project."""
    newest = owner_rows_of(project).order_by("folder", "-id").distinct("folder")
    return [one for one in newest if one.people]


def owners_for(prompt: Prompt) -> list[User]:
    """Return the people who answer for the prompt's folder, by name; an empty list where nobody was named."""
    ids = _rows("SELECT reviews_owners(%s, %s)", prompt.project_id, prompt.folder)[0][0]
    return list(User.objects.filter(pk__in=ids).order_by("name", "pk"))


def possible_reviewers(project: Project) -> list[User]:
    """Return the members who may review, by name."""
    members = members_of(project).filter(role__in=REVIEWER_ROLES, user__is_active=True)
    return sorted((one.user for one in members), key=lambda user: (user.name.casefold(), user.pk))


def suggested_reviewers(prompt: Prompt, *, but: User | None = None) -> list[User]:
    """Return the owners of the prompt's folder who may review, without one person."""
    able = {user.pk for user in possible_reviewers(prompt.project)}
    return [user for user in owners_for(prompt) if user.pk in able and user != but]


def history_of(change: ChangeRequest) -> QuerySet[AuditEvent]:
    """Return what happened to a change request, newest first (its texts are in verdicts and comments)."""
    return events_of(change.project_id, target_kind="change", target_id=str(change.pk))


def threads_of(change: ChangeRequest) -> list[tuple[ReviewComment, list[ReviewComment]]]:
    """Return each first comment with its replies, oldest first."""
    threads: dict[int, tuple[ReviewComment, list[ReviewComment]]] = {}
    for comment in comments_of(change):
        if comment.thread_id is None:
            threads[comment.pk] = (comment, [])
        else:
            threads[comment.thread_id][1].append(comment)
    return list(threads.values())


def is_outdated(comment: ReviewComment, change: ChangeRequest) -> bool:
    """Return whether a comment on a line was made on another candidate than the present one."""
    return comment.message_index is not None and comment.version_id not in (change.candidate_id, change.replaces_id)


def _blocker_text(code: str, change: ChangeRequest) -> str:
    texts = {
        "draft": _("It is a draft: ask for a review first."),
        "closed": _("It is closed."),
        "outdated": _("“%(label)s” stands elsewhere now than when this was proposed: rebase it.")
        % {"label": change.label},
        "archived": _("The prompt is archived: restore it first."),
        "changes_requested": _("A reviewer requested changes."),
        "approvals": _("It lacks approvals."),
        "owners": _("An owner of the folder has to approve."),
        "checks": _("A check that must pass has not passed."),
        "includes": _("It includes a label that is not protected: include a version instead, or protect that label."),
        "hold": _("The time to hold it after the last approval is not over yet."),
    }
    return texts[code]


def _rows(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
