"""What this app itself has to tell."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from promptops.notifications.kinds import EventType, Kind

PING = "ping"

KINDS = (
    Kind(
        "webhook.disabled",
        _("A webhook was switched off because it kept failing"),
        _("The webhook to %(host)s was switched off: it has failed for %(days)s days."),
        icon="webhook-off",
    ),
)
EVENTS = (EventType(PING, _("Test delivery")),)
