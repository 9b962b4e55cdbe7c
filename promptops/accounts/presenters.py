"""What the pages say about roles and tokens."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Role, Scope

ROLE_HELP: dict[Role, str | Promise] = {
    Role.VIEWER: _("reads everything in the project but secrets"),
    Role.EDITOR: _("writes prompts, moves labels, runs"),
    Role.REVIEWER: _("does what an editor does, and approves"),
    Role.ADMIN: _("does all of it, and looks after members, tokens, models and settings"),
    Role.OWNER: _("is the admin who cannot be removed"),
}


def role_choices(roles: list[Role]) -> list[tuple[str, str]]:
    """Return the roles as choices of a field, each with what it may do."""
    return [(role.value, f"{role.label}: {ROLE_HELP[role]}") for role in roles]


@dataclass(frozen=True)
class Access:
    """What a token is for, in one choice instead of a role and scopes that have to fit each other."""

    key: str
    label: str | Promise
    role: Role
    scopes: tuple[Scope, ...]


ACCESSES = (
    Access("fetch", _("Fetch prompts: read, and nothing else"), Role.VIEWER, (Scope.READ,)),
    Access("run", _("Fetch and run prompts"), Role.EDITOR, (Scope.READ, Scope.RUN)),
    Access("write", _("Fetch, run and write prompts, move labels"), Role.EDITOR, (Scope.READ, Scope.RUN, Scope.WRITE)),
    Access("admin", _("Everything, members, tokens and credentials too"), Role.ADMIN, tuple(Scope)),
)
