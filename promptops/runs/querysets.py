"""The tenant's filter of this app's tables. Views and REST start from here, never from ``.objects``."""

from __future__ import annotations

from django.db.models import QuerySet

from promptops.accounts.models import Project
from promptops.prompts.models import Prompt
from promptops.runs.models import Attempt, Batch, Run


def runs_of(project: Project) -> QuerySet[Run]:
    """Runs of a project, newest first, with what a list shows of prompt, version, endpoint, person and batch."""
    runs = Run.objects.filter(project=project).order_by("-id")
    return runs.select_related("prompt", "version", "endpoint", "actor_user", "batch")


def runs_of_prompt(prompt: Prompt) -> QuerySet[Run]:
    """Runs of a prompt's versions and drafts, newest first."""
    return runs_of(prompt.project).filter(prompt=prompt)


def attempts_of(run: Run) -> QuerySet[Attempt]:
    """The provider calls of a run, in order."""
    return Attempt.objects.filter(run_id=run.pk).select_related("endpoint").order_by("number")


def batches_of(project: Project) -> QuerySet[Batch]:
    """Batches of a project, newest first."""
    batches = Batch.objects.filter(project=project).order_by("-id")
    return batches.select_related("project", "prompt", "version", "endpoint", "created_by")
