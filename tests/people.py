"""The people of every test: a project with a member per role, and somebody from another project.

`team` is a fixture. Imports of models stand inside, since plugins load before Django is set up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from promptops.accounts.actors import Actor
    from promptops.accounts.models import Project, User
    from promptops.prompts.models import PromptVersion

GREETING: dict[str, Any] = {
    "kind": "chat",
    "syntax": "jinja",
    "messages": [
        {"role": "system", "content": "You are polite."},
        {"role": "user", "content": "Greet {{ name }} in one sentence."},
    ],
    "parameters": {"temperature": 0.2},
}


@dataclass(frozen=True)
class Team:
    """One project. ``outsider`` owns ``elsewhere`` and is a member of nothing here."""

    project: Project
    owner: User
    admin: User
    reviewer: User
    editor: User
    viewer: User
    elsewhere: Project
    outsider: User

    def actor(self, role: str) -> Actor:
        from promptops.accounts.actors import user_actor

        return user_actor(getattr(self, role))

    def token(self, role: str = "admin", **options: Any) -> str:
        """A new token's secret, made by the owner."""
        from promptops.accounts.tokens import create_token

        return create_token(self.actor("owner"), self.project, name=f"test {role}", role=role, **options)[1]

    def prompt(self, slug: str = "greeting", *, by: str = "editor", **changes: Any) -> PromptVersion:
        """A new prompt's version 1."""
        from promptops.prompts.services import create_prompt

        heading = {name: changes.pop(name) for name in ("folder", "description", "tags", "message") if name in changes}
        return create_prompt(self.actor(by), self.project, {**GREETING, **changes}, slug=slug, **heading)


def make_team(slug: str = "team") -> Team:
    """Make both projects and their people through the services that the product uses."""
    from promptops.accounts.actors import SYSTEM, user_actor
    from promptops.accounts.services import add_member, create_project, create_user

    def person(name: str) -> User:
        return create_user(email=f"{name}@{slug}.example", name=name.title())

    owner, outsider = person("owner"), person("outsider")
    project = create_project(user_actor(owner), name=f"Project {slug}", slug=slug)
    elsewhere = create_project(user_actor(outsider), name=f"Elsewhere {slug}", slug=f"{slug}-elsewhere")
    members = {role: person(role) for role in ("admin", "reviewer", "editor", "viewer")}
    for role, user in members.items():
        add_member(SYSTEM, project, user, role=role)
    return Team(project=project, owner=owner, elsewhere=elsewhere, outsider=outsider, **members)


@pytest.fixture
def team(db: None) -> Team:
    return make_team()
