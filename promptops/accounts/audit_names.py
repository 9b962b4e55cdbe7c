"""Names for the ids in the audit log, looked up when somebody reads it: the log itself holds none.

Objects of the apps above are named by functions of theirs (``settings.AUDIT_NAMES``), called with the project and the
ids that a page needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from promptops.accounts.models import Project, User
from promptops.accounts.querysets import invitations_of, members_of, tokens_of
from promptops.audit.models import AuditEvent


@dataclass(frozen=True)
class Named:
    """What an object is called, and its page where it has one."""

    name: str
    url: str = ""


@dataclass(frozen=True)
class NamedEvent:
    """An event with the names that stand for its ids today; an object that is gone keeps its id only."""

    event: AuditEvent
    actor: Named
    behind: str  # the person behind a token
    target: Named
    detail: dict[str, Any]

    @property
    def number(self) -> int | None:
        link = getattr(self.event, "link", None)
        return link.number if link else None

    @property
    def hash(self) -> str:
        link = getattr(self.event, "link", None)
        return bytes(link.hash).hex() if link else ""

    @property
    def detail_text(self) -> str:
        """The detail in one line, for the eye: ``label production, from 1, to 2``."""
        return ", ".join(f"{key} {_shortened(text)}" for key, text in self.facts if text)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The detail, line by line."""
        return [(key, _text(value)) for key, value in self.detail.items()]

    @property
    def detail_json(self) -> str:
        return json.dumps(self.detail, ensure_ascii=False)


def named_events(project: Project, events: Iterable[AuditEvent]) -> list[NamedEvent]:
    """Resolve the ids of a page of events, with one query for each kind of object."""
    found = list(events)
    wanted: dict[str, set[str]] = {}
    for event in found:
        wanted.setdefault(event.target_kind, set()).add(event.target_id)
        wanted.setdefault(event.actor_kind, set()).add(str(event.actor_id))
        wanted.setdefault("user", set()).add(str(event.user_id))
    names = {kind: _names(kind, project, ids - {"None"}) for kind, ids in wanted.items()}
    return [_named(event, names) for event in found]


def people_named(project: Project, ids: set[str]) -> dict[str, Named]:
    """Return the names of people, with a link to those who are members."""
    members = {one.user_id: one.pk for one in members_of(project).filter(user__pk__in=ids)}
    return {
        str(user.pk): Named(user.name, _url("member", project, members[user.pk]) if user.pk in members else "")
        for user in User.objects.filter(pk__in=ids)
    }


def _names(kind: str, project: Project, ids: set[str]) -> dict[str, Named]:
    if not ids:
        return {}
    if kind == "user":
        return people_named(project, ids)
    if kind == "token":
        page = _url("tokens", project)
        return {str(one.pk): Named(one.name, f"{page}#token-{one.pk}") for one in tokens_of(project).filter(pk__in=ids)}
    if kind == "invitation":
        page = _url("members", project)
        invitations = invitations_of(project).filter(pk__in=ids)
        return {str(one.pk): Named(one.note or one.get_role_display(), page) for one in invitations}
    if kind == "project":
        return {str(project.pk): Named(project.name, _url("project-home", project))}
    if kind in settings.AUDIT_NAMES:
        named: dict[str, tuple[str, str]] = import_string(settings.AUDIT_NAMES[kind])(project, ids)
        return {pk: Named(name, url) for pk, (name, url) in named.items()}
    return {}


def _named(event: AuditEvent, names: dict[str, dict[str, Named]]) -> NamedEvent:
    if event.actor_kind == "system":
        actor = Named(_("PromptOps"))
    else:
        nameless = Named(f"{event.actor_kind} {event.actor_id}")
        actor = names[event.actor_kind].get(str(event.actor_id), nameless)
    person = names["user"].get(str(event.user_id))
    behind = person.name if person and event.actor_kind == "token" else ""
    target = names[event.target_kind].get(event.target_id, Named(event.target_id))
    return NamedEvent(event, actor, behind, target, json.loads(event.payload)["detail"])


def _url(name: str, project: Project, *args: object) -> str:
    return reverse(f"accounts:{name}", args=[project.slug, *args])


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shortened(text: str) -> str:
    return f"{text[:12]}…" if len(text) > 40 else text  # a hash, mostly
