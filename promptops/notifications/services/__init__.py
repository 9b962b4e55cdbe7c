"""Telling people (``notify``) and webhooks (``emit``), and the settings of both.

notify(project, people, kind, *, params, url, actor, key="")   a row a person, in the open transaction
emit(project, type, payload, *, url, actor)                    a delivery a webhook, in the open transaction
"""

from promptops.notifications.services.events import emit
from promptops.notifications.services.people import notify

__all__ = [
    "emit",
    "notify",
]
