"""Memberships: adding, changing a role, ending."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from promptops.accounts.actors import SYSTEM, Actor
from promptops.accounts.models import Membership, Project, Role, User
from promptops.accounts.policies import Permission, grantable_roles, require
from promptops.audit import services as audit
from promptops.core.errors import Conflict, Forbidden, Invalid, NotFound


@transaction.atomic
def add_member(actor: Actor, project: Project, user: User, *, role: str) -> Membership:
    """Make an existing person a member at once (commands and tests; people use invitations)."""
    require(actor, project, Permission.ADMIN)
    granted = Role.OWNER if actor is SYSTEM and role == Role.OWNER else grantable(actor, project, role)
    try:
        with transaction.atomic():
            membership = Membership.objects.create(project=project, user=user, role=granted)
    except IntegrityError:
        raise Conflict(_("This person is a member, or the project has an owner."), code="already_member") from None
    _audit_member(actor, "member.added", membership)
    return membership


@transaction.atomic
def change_role(actor: Actor, membership: Membership, *, role: str) -> Membership:
    """Give a member another role. The owner's role stays; nobody changes their own."""
    require(actor, membership.project, Permission.ADMIN)
    membership = locked_member(membership)
    _refuse_on_owner_or_self(actor, membership)
    membership.role = grantable(actor, membership.project, role)
    membership.save(update_fields=["role"])
    _audit_member(actor, "member.role_changed", membership)
    return membership


@transaction.atomic
def remove_member(actor: Actor, membership: Membership) -> None:
    """End a membership; the person's tokens in the project stop working with it."""
    require(actor, membership.project, Permission.ADMIN)
    membership = locked_member(membership)
    _refuse_on_owner_or_self(actor, membership)
    _audit_member(actor, "member.removed", membership)
    membership.delete()


@transaction.atomic
def hand_over(actor: Actor, membership: Membership) -> Membership:
    """Make a member the owner; the one who was stays as an admin. Only the owner may.

    Raises:
        Forbidden: by anybody else.
        Conflict: the member is the owner already, or has just left.
    """
    require(actor, membership.project, Permission.OWN)
    both = Membership.objects.select_for_update().filter(project=membership.project).order_by("pk")
    found = {one.pk: one for one in both if one.pk == membership.pk or one.role == Role.OWNER}
    heir = found.pop(membership.pk, None)
    if heir is None or heir.role == Role.OWNER:
        raise Conflict(_("This person is the owner already, or has just left the project."))
    for former in found.values():
        former.role = Role.ADMIN
        former.save(update_fields=["role"])
        _audit_member(actor, "member.role_changed", former)
    heir.role = Role.OWNER
    heir.save(update_fields=["role"])
    _audit_member(actor, "project.handed_over", heir)
    return heir


def locked_member(membership: Membership) -> Membership:
    """Return the membership as it stands now, locked: it may just be made the owner's.

    Raises:
        NotFound: it has just ended.
    """
    rows = Membership.objects.select_for_update(of=("self",)).select_related("project", "user")
    found = rows.filter(pk=membership.pk).first()
    if found is None:
        raise NotFound(_("This person has just left the project."))
    return found


def _refuse_on_owner_or_self(actor: Actor, membership: Membership) -> None:
    if membership.role == Role.OWNER:
        raise Forbidden(_("The owner's membership cannot be changed. The owner can hand the project over first."))
    if actor.user_id == membership.user_id:
        raise Forbidden(_("You cannot change your own role. Ask another admin."))


def grantable(actor: Actor, project: Project, role: str) -> Role:
    """Return the role, where the actor may give it to others. Raises Invalid."""
    if role not in grantable_roles(actor, project):
        message = _("Choose one of the roles viewer, editor, reviewer, admin.")
        raise Invalid(message, errors={"role": [message]})
    return Role(role)


def _audit_member(actor: Actor, action: str, membership: Membership) -> None:
    audit.record(
        actor,
        action,
        project_id=membership.project_id,
        target_kind="user",
        target_id=membership.user_id,
        detail={"role": membership.role},
    )
