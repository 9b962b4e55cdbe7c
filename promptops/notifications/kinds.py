"""What there is to tell: kinds of notifications for people, types of events for webhooks.

Every app that has something to tell lists it in its ``notices.py`` (``KINDS``, ``EVENTS``; the modules stand in
``settings.NOTICES``). Texts are translated when somebody reads them, never stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from django.conf import settings
from django.utils.functional import Promise


@dataclass(frozen=True)
class Kind:
    """A kind of notification.

    Args:
        key: such as ``review.requested``; stored, so it never changes.
        label: what the profile's e-mail settings call it: “A review is asked of you”.
        text: the sentence, with ``%(actor)s`` and the names in ``params``: ``_("%(actor)s asks you …")``.
        icon: of the sprite.
        email: whether it is e-mailed to people who did not choose.
    """

    key: str
    label: str | Promise
    text: str | Promise
    icon: str = "bell"
    email: bool = False

    def text_of(self, params: Mapping[str, Any]) -> str:
        """Return the sentence in the language that is active. A name that is missing shows as “…”."""
        return str(self.text) % _Known(params)


@dataclass(frozen=True)
class EventType:
    """A type of event that webhooks may be told of; ``label`` is what its checkbox says."""

    key: str
    label: str | Promise


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "…"


@lru_cache(maxsize=1)
def kinds() -> Mapping[str, Kind]:
    """Return every kind by its key, in the order of ``settings.NOTICES``."""
    return {kind.key: kind for module in settings.NOTICES for kind in getattr(import_module(module), "KINDS", ())}


@lru_cache(maxsize=1)
def event_types() -> Mapping[str, EventType]:
    """Return every type of event by its key."""
    return {one.key: one for module in settings.NOTICES for one in getattr(import_module(module), "EVENTS", ())}
