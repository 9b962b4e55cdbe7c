"""Undo for a discarded draft: the last one of each prompt stays in the person's session until it is brought back.

The session lies in the database, so this survives a reload, and nobody else can read it.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from promptops.prompts.models import Draft, Prompt

KEY = "discarded_drafts"
MAX_KEPT = 5


def remember_discarded(request: HttpRequest, draft: Draft) -> None:
    """Keep what a draft holds, the newest few of the session."""
    kept = _kept(request)
    slot = _slot(draft.prompt_id)
    kept.pop(slot, None)
    base = draft.base_version.number if draft.base_version else None
    kept[slot] = {"content": draft.content, "heading": draft.heading, "base": base}
    request.session[KEY] = dict(list(kept.items())[-MAX_KEPT:])


def has_discarded(request: HttpRequest, prompt: Prompt | None) -> bool:
    """Return whether there is something to bring back."""
    return _slot(prompt.pk if prompt else None) in _kept(request)


def take_discarded(request: HttpRequest, prompt: Prompt | None) -> dict[str, Any] | None:
    """Return ``{content, heading, base}`` and forget it; None when nothing was kept. ``base``: a version's number."""
    kept = _kept(request)
    found: dict[str, Any] | None = kept.pop(_slot(prompt.pk if prompt else None), None)
    request.session[KEY] = kept
    return found


def _slot(prompt_id: int | None) -> str:
    return str(prompt_id or "new")


def _kept(request: HttpRequest) -> dict[str, Any]:
    return dict(request.session.get(KEY, {}))
