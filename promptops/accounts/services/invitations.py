"""Invitations ``/invitations/<secret>/``: how people come into a project."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import SYSTEM, Actor, user_actor
from promptops.accounts.models import Invitation, Membership, Project, Role, User
from promptops.accounts.policies import Permission, can, require
from promptops.accounts.secrets import digest_of, new_secret
from promptops.accounts.services.members import grantable, locked_member
from promptops.accounts.services.people import create_user
from promptops.audit import services as audit
from promptops.core.errors import NotFound

INVITATION_LIFE = dt.timedelta(days=7)


@transaction.atomic
def create_invitation(actor: Actor, project: Project, *, role: str, note: str = "") -> tuple[Invitation, str]:
    """Return an invitation and the secret of its link ``/invitations/<secret>/``. Works once, for seven days."""
    require(actor, project, Permission.ADMIN)
    granted = grantable(actor, project, role)
    secret = new_secret()
    invitation = Invitation.objects.create(
        project=project,
        role=granted,
        note=note.strip()[:120],
        digest=digest_of(secret),
        created_by=actor.user,
        expires_at=timezone.now() + INVITATION_LIFE,
    )
    detail = {"role": granted.value}
    audit.record(
        actor,
        "invitation.created",
        project_id=project.pk,
        target_kind="invitation",
        target_id=invitation.pk,
        detail=detail,
    )
    return invitation, secret


def find_invitation(secret: str) -> Invitation:
    """Return a live invitation. Raises NotFound when it is unknown, used, revoked, too old, or its maker is no admin.

    An invitation counts as the person who made it, as a token does: an admin who leaves must not come back by one.
    """
    invitation = (
        Invitation.objects.select_related("project", "created_by")
        .filter(digest=digest_of(secret), accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())
        .filter(project__archived_at=None)
        .first()
    )
    maker = user_actor(invitation.created_by) if invitation and invitation.created_by else SYSTEM
    if invitation is None or not can(maker, invitation.project, Permission.ADMIN):
        raise NotFound(_("This invitation is not valid: it was used, revoked, or has expired. Ask for a new one."))
    return invitation


@transaction.atomic
def accept_invitation(secret: str, user: User) -> Membership:
    """Make the person a member. Whoever is one already keeps the higher of both roles."""
    invitation = find_invitation(secret)
    taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None).update(
        accepted_by=user, accepted_at=timezone.now()
    )
    if not taken:
        raise NotFound(_("This invitation has just been used."))
    role = Role(invitation.role)
    membership, created = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": role}
    )
    if not created:
        membership = locked_member(membership)
        if not Role(membership.role).includes(role):
            membership.role = role
            membership.save(update_fields=["role"])
    audit.record(
        user_actor(user),
        "member.joined",
        project_id=invitation.project_id,
        target_kind="user",
        target_id=user.pk,
        detail={"role": membership.role, "invitation": invitation.pk},
    )
    return membership


@transaction.atomic
def sign_up_by_invitation(secret: str, *, name: str, email: str, password: str) -> Membership:
    """Make an account for whoever holds the link, and make that person a member; both, or neither.

    Raises:
        NotFound: the invitation is not valid.
        Invalid: as in ``create_user``.
    """
    find_invitation(secret)
    return accept_invitation(secret, create_user(email=email, name=name, password=password))


@transaction.atomic
def revoke_invitation(actor: Actor, invitation: Invitation) -> None:
    """Make the link worthless. An invitation that was used or revoked before stays as it is."""
    require(actor, invitation.project, Permission.ADMIN)
    open_one = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
    if not open_one.update(revoked_at=timezone.now()):
        return
    audit.record(
        actor,
        "invitation.revoked",
        project_id=invitation.project_id,
        target_kind="invitation",
        target_id=invitation.pk,
    )
