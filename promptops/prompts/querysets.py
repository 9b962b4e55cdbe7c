"""The tenant's filter of this app's tables. Views and REST start from here, never from ``.objects``."""

from __future__ import annotations

from django.db.models import QuerySet

from promptops.accounts.models import Project
from promptops.prompts.models import Draft, Label, LabelMove, Prompt, PromptVersion


def prompts_of(project: Project, *, archived: bool | None = False) -> QuerySet[Prompt]:
    """Prompts of a project: living ones (False), archived ones (True), or both (None)."""
    prompts = Prompt.objects.filter(project=project)
    return prompts if archived is None else prompts.filter(archived_at__isnull=not archived)


def versions_of(prompt: Prompt) -> QuerySet[PromptVersion]:
    """Versions of a prompt, newest first, with their content."""
    return PromptVersion.objects.filter(prompt=prompt).select_related("spec", "parent").order_by("-number")


def labels_of(prompt: Prompt) -> QuerySet[Label]:
    """Labels that stand somewhere, by name."""
    return Label.objects.filter(prompt=prompt, version__isnull=False).select_related("version").order_by("name")


def moves_of(prompt: Prompt, name: str) -> QuerySet[LabelMove]:
    """The history of one label, newest first."""
    moves = LabelMove.objects.filter(label__prompt=prompt, label__name=name)
    return moves.select_related("from_version", "to_version", "label").order_by("-at", "-id")


def moves_in(project: Project) -> QuerySet[LabelMove]:
    """The moves of all labels of living prompts, newest first."""
    moves = LabelMove.objects.filter(label__project=project, label__prompt__archived_at=None)
    return moves.select_related("from_version", "to_version", "label__prompt").order_by("-at", "-id")


def drafts_of(project: Project, *, owner_id: int) -> QuerySet[Draft]:
    """A person's own drafts in a project, newest first."""
    drafts = Draft.objects.filter(project=project, owner_id=owner_id)
    return drafts.select_related("prompt", "base_version", "project").order_by("-updated_at")
