"""The tenant's filter of this app's tables."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from promptops.accounts.models import ApiToken, Invitation, Membership, Project, User


def members_of(project: Project) -> QuerySet[Membership]:
    """Memberships of a project with their people, in the order in which they joined."""
    return Membership.objects.filter(project=project).select_related("user", "project").order_by("id")


def tokens_of(project: Project) -> QuerySet[ApiToken]:
    """Tokens of a project, also the revoked ones, newest first."""
    return ApiToken.objects.filter(project=project).select_related("created_by", "project").order_by("-id")


def invitations_of(project: Project) -> QuerySet[Invitation]:
    """Every invitation of a project, also used, revoked and old ones, newest first."""
    return Invitation.objects.filter(project=project).select_related("created_by", "project").order_by("-id")


def open_invitations_of(project: Project) -> QuerySet[Invitation]:
    """Invitations that can still be accepted, newest first."""
    return invitations_of(project).filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


def memberships_of(user: User) -> QuerySet[Membership]:
    """A person's memberships in living projects, by the project's name."""
    memberships = Membership.objects.filter(user=user, project__archived_at=None)
    return memberships.select_related("project").order_by("project__name", "project_id")
