"""Who acts. Every write names an actor: a person, a token, or the explicit ``SYSTEM``; there is no "nobody"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from promptops.accounts.models import ApiToken, Membership, Project, Role, Scope, User


@dataclass(frozen=True)
class Actor:
    """A person, a token, or the system.

    ``user`` is the person who answers for the act: for a token, its creator (None when a command made it).
    """

    kind: Literal["user", "token", "system"]
    id: int | None
    name: str
    user: User | None = None
    token: ApiToken | None = None
    _roles: dict[int, Role | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def user_id(self) -> int | None:
        return self.user.pk if self.user else None

    def role_in(self, project: Project) -> Role | None:
        """Return the role in that project, None for an outsider. Read once a request."""
        if self.kind == "system":
            return Role.OWNER
        if project.pk not in self._roles:
            self._roles[project.pk] = self._read_role(project)
        return self._roles[project.pk]

    def has_scope(self, scope: Scope) -> bool:
        return self.token is None or scope in self.token.scopes

    def _read_role(self, project: Project) -> Role | None:
        member = _membership_role(project, self.user) if self.user else None
        if self.token is None:
            return member
        if self.token.project_id != project.pk:
            return None
        role = Role(self.token.role)
        if self.user is None:
            return role
        # A token counts as its creator: it can do no more than that person can do today.
        return None if member is None else min(role, member, key=lambda one: one.rank)


def _membership_role(project: Project, user: User) -> Role | None:
    if not user.is_active:
        return None
    role = Membership.objects.filter(project=project, user=user).values_list("role", flat=True).first()
    return Role(role) if role else None


SYSTEM = Actor("system", None, "system")


def user_actor(user: User) -> Actor:
    """Return the actor for a signed-in person."""
    return Actor("user", user.pk, user.name, user=user)


def token_actor(token: ApiToken) -> Actor:
    """Return the actor for a token (``created_by`` should be selected with it)."""
    return Actor("token", token.pk, token.name, user=token.created_by, token=token)
