"""What the tests of reviews share: a protected label, versions by different people, and a change request."""

from __future__ import annotations

from typing import Any

from promptops.accounts.actors import SYSTEM, Actor, user_actor
from promptops.accounts.models import Project, User
from promptops.accounts.services import add_member, create_user
from promptops.prompts.models import PromptVersion
from promptops.prompts.services import create_version, move_label
from promptops.reviews import services
from promptops.reviews.models import ChangeRequest, LabelPolicy
from tests.people import GREETING, Team


def said(text: str) -> dict[str, Any]:
    """The greeting, with another user message."""
    return {**GREETING, "messages": [GREETING["messages"][0], {"role": "user", "content": text}]}


def save(team: Team, prompt: Any, text: str, *, by: str = "editor") -> PromptVersion:
    return create_version(team.actor(by), prompt, said(text))[0]


def protect(team: Team, *, approvals: int = 1, **policy: Any) -> LabelPolicy:
    """Protect `production`: in the whole project, where nothing narrower is named."""
    return services.set_label_policy(
        team.actor("admin"), team.project, "production", required_approvals=approvals, **policy
    )


def released(team: Team, slug: str = "greeting", **heading: Any) -> PromptVersion:
    """Version 1 of a new prompt, live under `production` before anything is protected."""
    version = team.prompt(slug, **heading)
    move_label(team.actor("editor"), version.prompt, "production", version)
    return version


def proposed(team: Team, prompt: Any, text: str = "Greet {{ name }} warmly.", **options: Any) -> ChangeRequest:
    """A change request of the editor for `production`."""
    version = options.pop("version", None) or save(team, prompt, text)
    return services.propose(team.actor("editor"), prompt, version=version, **options)


def merged(team: Team, change: ChangeRequest, *, by: str = "reviewer") -> ChangeRequest:
    """The change request, approved by one person and merged."""
    services.approve(team.actor(by), change)
    services.merge(team.actor("editor"), change)
    return fresh(change)


def fresh(change: ChangeRequest) -> ChangeRequest:
    return ChangeRequest.objects.select_related("prompt", "candidate", "replaces", "project").get(pk=change.pk)


def live(prompt: Any, label: str = "production") -> int | None:
    """The number of the version that is served."""
    version = PromptVersion.objects.filter(labels__prompt=prompt, labels__name=label).first()
    return version.number if version else None


def colleague(project: Project, name: str, role: str = "reviewer") -> User:
    """One more member."""
    person = create_user(email=f"{name}@{project.slug}.example", name=name.title())
    add_member(SYSTEM, project, person, role=role)
    return person


def acting(person: User) -> Actor:
    return user_actor(person)
