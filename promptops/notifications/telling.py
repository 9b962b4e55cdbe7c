"""Telling people: the inbox, and what of it is e-mailed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from promptops.accounts.actors import Actor
from promptops.accounts.models import Membership, Project, User
from promptops.notifications.doorbell import ring_on_commit
from promptops.notifications.kinds import kinds
from promptops.notifications.models import EmailChoice

MAX_PARAM = 200
MAX_KEY = 200
MAX_URL = 500

# Unread, the same thing is one row. It comes up again in the inbox; its e-mail, once sent, is not sent again.
_TELL = """
INSERT INTO notifications_notification AS n (project_id, user_id, kind, params, url, key, actor_kind, actor_user_id,
    times, at, email_due_at, email_attempts, email_error)
SELECT %(project)s, person, %(kind)s, %(params)s::jsonb, %(url)s, %(key)s, %(actor_kind)s, %(actor_user)s, 1, %(at)s,
    CASE WHEN emailed THEN %(at)s::timestamptz END, 0, ''
FROM unnest(%(people)s::bigint[], %(emailed)s::boolean[]) AS told (person, emailed)
ON CONFLICT (user_id, project_id, kind, key) WHERE read_at IS NULL DO UPDATE SET params = excluded.params,
    url = excluded.url, actor_kind = excluded.actor_kind, actor_user_id = excluded.actor_user_id,
    times = n.times + 1, at = excluded.at
"""


def notify(
    project: Project,
    people: Iterable[User],
    kind: str,
    *,
    params: Mapping[str, str | int],
    url: str,
    actor: Actor,
    key: str = "",
) -> int:
    """Tell people of something, in the transaction in which it happened. Returns how many are told.

    Who acted is not told of it, nor is who is not (or no longer) an active member of the project.

    Args:
        kind: a key of ``kinds()``.
        params: what its text needs: ids and short names, each at most 200 characters (longer ones are cut).
        url: the path of the page to open, such as ``reverse(…)`` gives it.
        key: two unread notifications of one kind with the same key are one; the ``url`` where left out.

    Raises:
        RuntimeError: no transaction is open, so the news and what happened could part.
        LookupError: nobody registered that kind.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("notify needs the transaction of what it tells of")
    if kind not in kinds():
        raise LookupError(f"There is no kind of notification {kind!r}; see settings.NOTICES.")
    if not url.startswith("/") or url.startswith("//") or len(url) > MAX_URL:
        raise ValueError("The url of a notification is a path of ours.")
    told = _members(project, {one.pk for one in people} - {actor.user_id})
    if not told:
        return 0
    emailed = _who_wants_email(told, kind)
    with connection.cursor() as cursor:
        cursor.execute(
            _TELL,
            {
                "project": project.pk,
                "kind": kind,
                "params": json.dumps(_short(params)),
                "url": url,
                "key": (key or url)[:MAX_KEY],
                "actor_kind": actor.kind,
                "actor_user": actor.user_id,
                "at": timezone.now(),
                "people": told,
                "emailed": [person in emailed for person in told],
            },
        )
    if emailed:
        ring_on_commit()
    return len(told)


def _members(project: Project, people: set[int]) -> list[int]:
    """In the order of their ids, so that two tellers never lock each other's rows crosswise."""
    if not people:
        return []
    found = Membership.objects.filter(project=project, user__in=people, user__is_active=True)
    return sorted(found.values_list("user_id", flat=True))


def _who_wants_email(people: list[int], kind: str) -> set[int]:
    if not settings.EMAIL_ENABLED:
        return set()
    chosen = dict(EmailChoice.objects.filter(user__in=people, kind=kind).values_list("user_id", "wanted"))
    return {person for person in people if chosen.get(person, kinds()[kind].email)}


def _short(params: Mapping[str, str | int]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, int) else value if len(value) <= MAX_PARAM else value[: MAX_PARAM - 1] + "…"
        for name, value in params.items()
    }
