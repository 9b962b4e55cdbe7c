"""What the project's home shows of prompts: a panel that it loads."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission, can
from promptops.core.htmx import render
from promptops.prompts.models import Draft
from promptops.prompts.presenters import heading_text
from promptops.prompts.querysets import drafts_of, moves_in, prompts_of
from promptops.prompts.selectors import live_labels

SHOWN = 6


@require_safe
@project_view(Permission.READ)
def home_panel(request: ProjectRequest) -> HttpResponse:
    """The prompts that changed last, the person's own drafts, and the latest moves of labels."""
    may_write = can(request.actor, request.project, Permission.WRITE)
    changed = list(prompts_of(request.project).order_by("-updated_at", "-id")[:SHOWN])
    labels = live_labels([prompt.pk for prompt in changed])
    drafts = drafts_of(request.project, owner_id=request.user.pk).filter(prompt__archived_at=None)
    context = {
        "changed": [(prompt, labels.get(prompt.pk, [])) for prompt in changed],
        "drafts": [(draft, _name(draft)) for draft in drafts[:SHOWN]] if may_write else [],
        "moves": list(moves_in(request.project)[:SHOWN]),
        "may_write": may_write,
    }
    return render(request, "prompts/home_panel.html", context)


def _name(draft: Draft) -> str:
    return draft.prompt.slug if draft.prompt else heading_text(draft)
