"""Telling people (``notify``) and webhooks (``emit``), and the settings of both.

notify(project, people, kind, *, params, url, actor, key="")   a row a person, in the open transaction
emit(project, type, payload, *, url, actor)                    a delivery a webhook, in the open transaction
"""

from promptops.notifications.services.events import emit
from promptops.notifications.services.inbox import (
    choose_emails,
    emailed_kinds,
    mark_all_read,
    mark_read,
    mark_unread,
)
from promptops.notifications.services.webhooks import (
    create_webhook,
    delete_webhook,
    ping_webhook,
    redeliver,
    rotate_keys,
    rotate_secret,
    subscribable,
    update_webhook,
)
from promptops.notifications.telling import notify

__all__ = [
    "choose_emails",
    "create_webhook",
    "delete_webhook",
    "emailed_kinds",
    "emit",
    "mark_all_read",
    "mark_read",
    "mark_unread",
    "notify",
    "ping_webhook",
    "redeliver",
    "rotate_keys",
    "rotate_secret",
    "subscribable",
    "update_webhook",
]
