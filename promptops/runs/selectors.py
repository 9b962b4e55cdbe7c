"""Reads of runs beyond one queryset: one run with its texts, the runs that fit a question, how far batches are.

A run's id is a UUIDv7, so a range in time is a range of ids: by it PostgreSQL leaves out the partitions (months) that
cannot have a row of the answer.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.models import Project
from promptops.core.errors import NotFound
from promptops.core.ids import first_uuid7_at
from promptops.runs.models import Attempt, Batch, Run, RunPayload, Status
from promptops.runs.querysets import batches_of, runs_of

BATCH_MILLISECONDS = 24 * 3600 * 1000
"""The runs of a batch are made in the transaction that makes the batch; none lives for a day."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def get_run(project: Project, run_id: uuid.UUID) -> Run:
    """Return a run with its spec. Raises NotFound."""
    run = runs_of(project).select_related("project", "spec", "batch", "endpoint__credential").filter(pk=run_id).first()
    if run is None:
        raise NotFound(_("This project has no such run."), code="run_not_found")
    return run


def payload_of(run: Run) -> RunPayload:
    """Return what went in, what was sent and what came out."""
    return RunPayload.objects.get(run_id=run.pk)


def payloads_of(runs: Iterable[Run]) -> dict[uuid.UUID, RunPayload]:
    """Return the texts of runs, by run id."""
    return RunPayload.objects.in_bulk([run.pk for run in runs])


def attempts_by_run(runs: Iterable[Run]) -> dict[uuid.UUID, list[Attempt]]:
    """Return the provider calls of runs in their order, by run id; nothing for a run that was never called."""
    found: dict[uuid.UUID, list[Attempt]] = {}
    attempts = Attempt.objects.filter(run_id__in=[run.pk for run in runs]).select_related("endpoint")
    for attempt in attempts.order_by("run_id", "number"):
        found.setdefault(attempt.run_id, []).append(attempt)
    return found


def get_batch(project: Project, batch_id: uuid.UUID) -> Batch:
    """Return a batch. Raises NotFound."""
    batch = batches_of(project).filter(pk=batch_id).first()
    if batch is None:
        raise NotFound(_("This project has no such batch."), code="batch_not_found")
    return batch


@dataclass(frozen=True)
class RunQuestion:
    """Which runs somebody asks for; what is empty or None does not narrow.

    ``since`` is included, ``until`` is not; without a zone they are UTC. ``who`` is a person's or (after ``token:``) a
    token's primary key. ``version`` 0 means the runs of drafts.
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
    if question.since is not None:
        runs = runs.filter(id__gte=first_id_at(question.since))
    if question.until is not None:
        runs = runs.filter(id__lt=first_id_at(question.until))
    if question.batch is not None:
        first, last = _ids_of_batches([question.batch])
        runs = runs.filter(batch=question.batch, id__gte=first, id__lt=last)
    if question.id_text:
        runs = runs.filter(_id_like(question.id_text))
    return runs


def first_id_at(moment: dt.datetime) -> uuid.UUID:
    """Return the smallest id of a run made at or after that moment (to the millisecond)."""
    if timezone.is_naive(moment):
        moment = moment.replace(tzinfo=dt.UTC)
    return first_uuid7_at(max(moment, _EPOCH))


@dataclass(frozen=True)
class Counts:
    """How many runs of a batch are in which state."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    blocked: int = 0

    @property
    def open(self) -> int:
        return self.queued + self.running

    @property
    def ended(self) -> int:
        return self.succeeded + self.failed + self.cancelled + self.blocked

    @property
    def total(self) -> int:
        return self.open + self.ended


def counts_of(batches: Sequence[Batch]) -> dict[uuid.UUID, Counts]:
    """Return how far each batch is, by batch id, in one query."""
    if not batches:
        return {}
    ids = [batch.pk for batch in batches]
    first, last = _ids_of_batches(ids)
    counted: dict[uuid.UUID, dict[str, int]] = {batch_id: {} for batch_id in ids}
    runs = Run.objects.filter(batch__in=ids, id__gte=first, id__lt=last).order_by()
    for batch_id, status, number in runs.values_list("batch_id", "status").annotate(number=Count("id")):
        counted[batch_id][Status(status).value] = number
    return {batch_id: Counts(**counts) for batch_id, counts in counted.items()}


def _ids_of_batches(batch_ids: Sequence[uuid.UUID]) -> tuple[uuid.UUID, uuid.UUID]:
    """Between which ids (the second excluded) the runs of these batches are; an id begins with 48 bits of time."""
    first, last = min(batch_ids).int >> 80, (max(batch_ids).int >> 80) + BATCH_MILLISECONDS
    return uuid.UUID(int=first << 80), uuid.UUID(int=min(last, 2**48 - 1) << 80)


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
