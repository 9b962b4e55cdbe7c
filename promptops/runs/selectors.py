"""Reads of runs beyond one queryset: one run with its texts, and the runs that fit a question."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from promptops.accounts.models import Project
from promptops.core.errors import NotFound
from promptops.core.ids import first_uuid7_at
from promptops.runs.models import Batch, Run, RunPayload
from promptops.runs.querysets import batches_of, runs_of


def get_run(project: Project, run_id: uuid.UUID) -> Run:
    """Return a run with its spec. Raises NotFound."""
    run = runs_of(project).select_related("project", "spec", "batch", "endpoint__credential").filter(pk=run_id).first()
    if run is None:
        raise NotFound(_("This project has no such run."), code="run_not_found")
    return run


def payload_of(run: Run) -> RunPayload:
    """Return what went in, what was sent and what came out."""
    return RunPayload.objects.get(run_id=run.pk)


def get_batch(project: Project, batch_id: uuid.UUID) -> Batch:
    """Return a batch. Raises NotFound."""
    batch = batches_of(project).filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(_("This project has no such batch."), code="batch_not_found")
    return batch


@dataclass(frozen=True)
class RunQuestion:
    """Which runs somebody asks for; what is empty or None does not narrow.

    ``since`` is included, ``until`` is not. ``who`` is a person's or (after ``token:``) a token's primary key.
    ``version`` 0 means the runs of drafts.
    """

    status: tuple[str, ...] = ()
    prompt: str = ""
    version: int | None = None
    endpoint: str = ""
    label: str = ""
    who: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    id_text: str = ""
    batch: uuid.UUID | None = None


def find_runs(project: Project, question: RunQuestion) -> QuerySet[Run]:
    """Return the project's runs that fit, newest first."""
    runs = runs_of(project)
    if question.status:
        runs = runs.filter(status__in=question.status)
    if question.prompt:
        runs = runs.filter(prompt__slug=question.prompt)
    if question.version is not None:
        runs = runs.filter(version__number=question.version) if question.version else runs.filter(version=None)
    if question.endpoint:
        runs = runs.filter(endpoint__slug=question.endpoint)
    if question.label:
        runs = runs.filter(label=question.label)
    if question.who:
        runs = runs.filter(_asked_by(question.who))
    # A run's id holds the time at which it was made: a range of ids is one of time, and leaves out whole partitions.
    if question.since is not None:
        runs = runs.filter(id__gte=first_uuid7_at(question.since))
    if question.until is not None:
        runs = runs.filter(id__lt=first_uuid7_at(question.until))
    if question.batch is not None:
        runs = runs.filter(batch=question.batch)
    if question.id_text:
        runs = runs.filter(_id_like(question.id_text))
    return runs


def _asked_by(who: str) -> Q:
    kind, _colon, number = who.rpartition(":")
    if not number.isdecimal() or len(number) > 18:
        return Q(pk__in=[])
    return Q(token_id=int(number)) if kind == "token" else Q(actor_user=int(number), actor_kind="user")


def _id_like(text: str) -> Q:
    """A whole id, or its beginning or end as people copy it from a list; other text fits nothing."""
    digits = text.replace("-", "").lower()
    if not digits or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        return Q(pk__in=[])
    first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
    # A beginning is a range of the index; an end (the last eight digits stand in lists) has to look at each id.
    return Q(id__gte=first, id__lte=last) | Q(id__iendswith=text.strip())
