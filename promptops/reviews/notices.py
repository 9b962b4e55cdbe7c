"""What this app tells people and webhooks (``notifications.kinds``)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from promptops.notifications.kinds import EventType, Kind

KINDS = (
    Kind(
        "review.requested",
        _("Your review is asked for"),
        _("%(actor)s asks you to review #%(number)s %(title)s."),
        icon="git-pull-request",
        email=True,
    ),
    Kind(
        "review.amended",
        _("What you were to review was changed"),
        _("%(actor)s changed #%(number)s %(title)s. Please look again."),
        icon="git-pull-request",
    ),
    Kind(
        "review.approved",
        _("A change request of yours was approved"),
        _("%(actor)s approved your change request #%(number)s %(title)s."),
        icon="git-pull-request",
    ),
    Kind(
        "review.changes_requested",
        _("Changes of a change request of yours were asked for"),
        _("%(actor)s requested changes of #%(number)s %(title)s."),
        icon="git-pull-request",
        email=True,
    ),
    Kind(
        "review.commented",
        _("Somebody commented where you take part"),
        _("%(actor)s commented on #%(number)s %(title)s."),
        icon="git-pull-request",
    ),
    Kind(
        "review.closed",
        _("A change request that you take part in was merged or closed"),
        _("%(actor)s closed #%(number)s %(title)s: %(state)s."),
        icon="git-pull-request",
    ),
    Kind(
        "review.glass_broken",
        _("A protected label was moved without approval"),
        _("%(actor)s moved “%(label)s” of %(prompt)s without approval."),
        icon="alert-triangle",
        email=True,
    ),
)
EVENTS = (
    EventType("change.proposed", _("A change was proposed")),
    EventType("change.opened", _("A draft of a change was opened for review")),
    EventType("change.amended", _("The candidate of a change was replaced")),
    EventType("change.rebased", _("A change was rebased")),
    EventType("change.approved", _("A change was approved by somebody")),
    EventType("change.changes_requested", _("Changes of a change were requested")),
    EventType("change.merged", _("A change was merged")),
    EventType("change.rejected", _("A change was rejected")),
    EventType("change.withdrawn", _("A change was withdrawn")),
    EventType("change.reopened", _("A change was opened again")),
    EventType("change.glass_broken", _("A change was merged without approval")),
)
