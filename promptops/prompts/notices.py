"""What this app tells people and webhooks (``notifications.kinds``)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from promptops.notifications.kinds import EventType, Kind

KINDS = (
    Kind(
        "label.moved",
        _("A label was moved to a version that you wrote"),
        _("%(actor)s moved “%(label)s” of %(prompt)s to your version %(version)s."),
        icon="tag",
    ),
)
EVENTS = (
    EventType("prompt.created", _("A prompt was created")),
    EventType("prompt.archived", _("A prompt was archived")),
    EventType("prompt.restored", _("A prompt was restored")),
    EventType("version.created", _("A version was saved")),
    EventType("label.moved", _("A label was moved or removed")),
    EventType("label.rolled_back", _("A label was rolled back")),
)
