"""What this app tells people and webhooks (``notifications.kinds``)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from promptops.notifications.kinds import EventType, Kind

KINDS = (
    Kind(
        "batch.ended",
        _("A batch that you started has ended"),
        _("Your batch of %(prompt)s has ended: %(succeeded)s of %(total)s runs succeeded."),
        icon="stack-2",
    ),
)
EVENTS = (EventType("batch.ended", _("A batch of runs has ended")),)
