"""What a notification says, in the language that is active."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from promptops.notifications.kinds import kinds
from promptops.notifications.models import Notification, Webhook


@dataclass(frozen=True)
class Told:
    """A notification as a sentence; ``icon`` is of the sprite."""

    text: str
    icon: str


def told_of(one: Notification) -> Told:
    """Return what it says. A kind that is gone (an app that was taken out) is called by its key."""
    kind = kinds().get(one.kind)
    if kind is None:
        return Told(one.kind, "bell")
    return Told(kind.text_of({**one.params, "actor": _actor(one)}), kind.icon)


def _actor(one: Notification) -> str:
    if one.actor_user is None:
        return _("PromptOps") if one.actor_kind == "system" else _("An API token")
    if one.actor_kind == "token":
        return _("%(name)s (by API token)") % {"name": one.actor_user.name}
    return one.actor_user.name


@dataclass(frozen=True)
class State:
    """How a webhook does. ``css_class`` and ``icon`` are those of a status badge."""

    label: str
    css_class: str
    icon: str


def state_of(webhook: Webhook) -> State:
    """Return how a webhook does, for its badge."""
    if webhook.disabled_at:
        return State(_("Switched off: it kept failing"), "failed", icon="circle-x")
    if not webhook.is_active:
        return State(_("Off"), "", icon="player-pause")
    if webhook.failing_since:
        return State(_("Failing"), "blocked", icon="alert-triangle")
    return State(_("Active"), "succeeded", icon="circle-check")
