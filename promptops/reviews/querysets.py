"""The tenant's filter of this app's tables. Views and REST start from here, never from ``.objects``."""

from __future__ import annotations

from django.db.models import QuerySet

from promptops.accounts.models import Project
from promptops.reviews.models import ChangeRequest, CheckResult, CodeOwners, LabelPolicy, ReviewComment, Verdict


def changes_of(project: Project) -> QuerySet[ChangeRequest]:
    """Change requests of a project, the last touched first."""
    changes = ChangeRequest.objects.filter(project=project)
    return changes.select_related("prompt", "candidate", "replaces", "author").order_by("-updated_at", "-id")


def policies_of(project: Project) -> QuerySet[LabelPolicy]:
    """Every policy that was ever set, newest first: the history."""
    return LabelPolicy.objects.filter(project=project).select_related("prompt").order_by("-id")


def owner_rows_of(project: Project) -> QuerySet[CodeOwners]:
    """Every list of owners that was ever set, newest first: the history."""
    return CodeOwners.objects.filter(project=project).order_by("-id")


def verdicts_of(change: ChangeRequest) -> QuerySet[Verdict]:
    """Every verdict of a change request, also those that count no more, oldest first."""
    return Verdict.objects.filter(change=change).select_related("reviewer", "version").order_by("id")


def comments_of(change: ChangeRequest) -> QuerySet[ReviewComment]:
    """Every comment of a change request, oldest first."""
    comments = ReviewComment.objects.filter(change=change)
    return comments.select_related("author", "version", "resolved_by", "applied_in").order_by("id")


def check_results_of(change: ChangeRequest) -> QuerySet[CheckResult]:
    """Every result of a check, newest first."""
    return CheckResult.objects.filter(change=change).select_related("version", "replaces").order_by("-id")
