"""Who may do what: a permission is the least role that has it, and the scope that a token needs for it.

An outsider gets ``NotFound`` (absent and forbidden look alike between tenants); a member with too small a role gets
``Forbidden``, with what is missing.
"""

from __future__ import annotations

from enum import Enum

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Membership, Project, Role, Scope, User
from promptops.core.errors import Forbidden, NotFound


class Permission(Enum):
    READ = (Role.VIEWER, Scope.READ)
    RUN = (Role.EDITOR, Scope.RUN)
    WRITE = (Role.EDITOR, Scope.WRITE)
    REVIEW = (Role.REVIEWER, Scope.WRITE)
    ADMIN = (Role.ADMIN, Scope.ADMIN)
    OWN = (Role.OWNER, Scope.ADMIN)

    @property
    def role(self) -> Role:
        return self.value[0]

    @property
    def scope(self) -> Scope:
        return self.value[1]


def can(actor: Actor, project: Project, permission: Permission) -> bool:
    """Return whether the actor has the permission in the project."""
    role = actor.role_in(project)
    return role is not None and role.includes(permission.role) and actor.has_scope(permission.scope)


def require(actor: Actor, project: Project, permission: Permission) -> None:
    """Raise NotFound for an outsider, Forbidden for a member or token that lacks the permission."""
    role = actor.role_in(project)
    if role is None:
        raise NotFound(_("There is nothing here, or you are not a member of its project."))
    if not role.includes(permission.role):
        raise Forbidden(
            _("This needs the role “%(needed)s” in the project; you have “%(has)s”. An admin can change it.")
            % {"needed": permission.role.label, "has": role.label},
            needed_role=permission.role.value,
        )
    if not actor.has_scope(permission.scope):
        raise Forbidden(
            _("This token lacks the scope “%(scope)s”. Make a token that has it.") % {"scope": permission.scope.value},
            needed_scope=permission.scope.value,
        )


def grantable_roles(actor: Actor, project: Project) -> list[Role]:
    """Return the roles that the actor may give to others: none above its own, and never owner.

    A token gives none that could do what its scopes do not let it do.
    """
    own = actor.role_in(project)
    if own is None or not own.includes(Role.ADMIN):
        return []
    roles = (Role.VIEWER, Role.EDITOR, Role.REVIEWER, Role.ADMIN)
    return [role for role in roles if all(actor.has_scope(one.scope) for one in Permission if role.includes(one.role))]


def people_in_care_of(actor: Actor) -> QuerySet[User]:
    """Return the people for whom the actor may make a sign-in link, which lets its holder act as that person.

    Nobody may gain by it: whoever runs the installation may help everybody; an admin only those who reach nothing that
    this admin does not administer too, and no owner. A token never may.
    """
    if actor.kind != "user" or actor.user is None:
        return User.objects.none()
    active = User.objects.filter(is_active=True)
    if actor.user.is_installation_admin:
        return active
    administered = Membership.objects.filter(user=actor.user, role__in=[Role.ADMIN, Role.OWNER]).values("project")
    reach_more = Membership.objects.filter(Q(role=Role.OWNER) | ~Q(project__in=administered)).values("user")
    return active.filter(is_installation_admin=False).exclude(pk__in=reach_more)
