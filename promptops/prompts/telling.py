"""What people and webhooks are told of prompts, in the transaction in which it happens."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from promptops.accounts.actors import Actor
from promptops.notifications.services import emit, notify
from promptops.prompts.models import LabelMove, Prompt, PromptVersion


def tell_of_prompt(actor: Actor, prompt: Prompt, event: str) -> None:
    """``event`` is ``prompt.created``, ``prompt.archived`` or ``prompt.restored``."""
    emit(prompt.project, event, {"prompt": _prompt(prompt)}, url=_page("prompts:detail", prompt), actor=actor)


def tell_of_version(actor: Actor, version: PromptVersion) -> None:
    prompt = version.prompt
    payload = {
        "prompt": _prompt(prompt),
        "version": {"number": version.number, "sha256": version.content_sha256, "message": version.message},
    }
    page = reverse("prompts:version-detail", args=[prompt.project.slug, prompt.slug, version.number])
    emit(prompt.project, "version.created", payload, url=page, actor=actor)


def tell_of_move(actor: Actor, prompt: Prompt, label: str, move: LabelMove) -> None:
    """Webhooks hear of every move; who wrote the version that is now live hears of it too."""
    page = _page("prompts:labels", prompt)
    event = "label.rolled_back" if move.authority == LabelMove.Authority.ROLLBACK else "label.moved"
    version = move.to_version
    payload = {
        "prompt": _prompt(prompt),
        "label": label,
        "from": move.from_version.number if move.from_version else None,
        "to": version.number if version else None,
        "move": move.pk,
        "authority": move.authority,
    }
    emit(prompt.project, event, payload, url=page, actor=actor)
    if version is not None and version.author is not None:
        notify(
            prompt.project,
            [version.author],
            "label.moved",
            params={"label": label, "prompt": prompt.slug, "version": version.number},
            url=page,
            actor=actor,
            key=f"{prompt.pk}/{label}",
        )


def _prompt(prompt: Prompt) -> dict[str, Any]:
    return {"id": prompt.pk, "slug": prompt.slug}


def _page(route: str, prompt: Prompt) -> str:
    return reverse(route, args=[prompt.project.slug, prompt.slug])
