"""The first steps of a new project. Each ticks itself off by what is really there, whoever did it and however."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, can
from promptops.accounts.querysets import members_of, tokens_of


@dataclass(frozen=True)
class Step:
    title: str | Promise
    hint: str | Promise
    url: str
    done: bool


def steps_for(actor: Actor, project: Project) -> list[Step]:
    """Return the steps that this person may take; none when all of them are done, or may not be taken at all."""
    if not can(actor, project, Permission.WRITE):
        return []
    steps = [
        Step(
            _("Write a prompt"),
            _("Messages with variables, previewed as you type; or bring one by REST."),
            _url("prompts:create", project),
            _exists("prompt", project),
        ),
        Step(
            _("Run it on a model"),
            _("Ctrl+Enter in the editor; the small embedded model is there from the start."),
            _url("prompts:list", project),
            _exists("run", project),
        ),
        Step(
            _("Put the label “production” on a version"),
            _("A label is what your services ask for; moving it releases a version, and back again."),
            _url("prompts:list", project),
            _exists("label", project),
        ),
    ]
    if can(actor, project, Permission.ADMIN):
        steps += [
            Step(
                _("Fetch it from your own code"),
                _("Make an API token, and copy the ready call."),
                _url("accounts:tokens", project),
                tokens_of(project).filter(last_used_at__isnull=False).exists(),
            ),
            Step(
                _("Invite somebody"),
                _("By a link that you send them yourself; no e-mail server is needed."),
                _url("accounts:members", project),
                members_of(project).count() > 1,
            ),
        ]
    return [] if all(step.done for step in steps) else steps


def _exists(what: str, project: Project) -> bool:
    """Whether the project has one: the upper apps' querysets are named in settings, since nothing here imports them."""
    found: bool = import_string(settings.PROJECT_HAS[what])(project).exists()
    return found


def _url(route: str, project: Project) -> str:
    try:
        return reverse(route, args=[project.slug])
    except NoReverseMatch:
        return ""
