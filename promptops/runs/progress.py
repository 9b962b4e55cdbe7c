"""How far batches are, how fast they go, and what went wrong in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Max, Min, QuerySet, Sum
from django.db.models.fields.json import KT
from django.utils import timezone

from promptops.runs.advice import advice_on
from promptops.runs.models import Batch, Run, Status
from promptops.runs.selectors import Counts, RunQuestion, counts_of, find_runs

RECENT = dt.timedelta(seconds=60)
"""The rate is that of the last minute, so that it tells what happens now."""

ENOUGH = 5
"""Fewer ends than this in the last minute are no rate; then the rate is that of the whole time."""


BAR = (Status.SUCCEEDED, Status.FAILED, Status.BLOCKED, Status.CANCELLED, Status.RUNNING)


@dataclass(frozen=True)
class Progress:
    """A batch and how far it is; percents are of all of its runs."""

    batch: Batch
    counts: Counts

    @property
    def total(self) -> int:
        return self.batch.total

    @property
    def ended(self) -> int:
        return self.counts.ended

    @property
    def percent(self) -> float:
        return 100 * self.counts.ended / self.batch.total if self.batch.total else 100.0

    @property
    def segments(self) -> list[tuple[str, str, str]]:
        """The bar: (status, where it begins, how wide it is), in percent of the width, as numbers of SVG."""
        found, begin = [], 0.0
        for status in BAR:
            width = 100 * getattr(self.counts, status.value) / self.batch.total if self.batch.total else 0.0
            if width:
                found.append((status.value, f"{begin:.3f}", f"{width:.3f}"))
            begin += width
        return found

    @property
    def is_over(self) -> bool:
        return self.counts.open == 0

    @property
    def is_paused(self) -> bool:
        return self.batch.state == Batch.State.PAUSED and not self.is_over

    @property
    def state(self) -> str:
        """What the whole of it is doing, as a status of a run."""
        if self.batch.state == Batch.State.CANCELLED:
            return Status.CANCELLED.value
        if self.is_over:
            return Status.FAILED.value if self.counts.failed else Status.SUCCEEDED.value
        return Status.RUNNING.value if self.counts.running else Status.QUEUED.value


@dataclass(frozen=True)
class Pace:
    """``per_minute`` runs end; ``left`` is the time until the last one, None while nothing is known."""

    per_minute: float | None = None
    left: dt.timedelta | None = None


@dataclass(frozen=True)
class Totals:
    """Sums over the runs of a batch. ``cost_usd`` is of those whose cost is known; ``unknown`` counts the others."""

    cost_usd: Decimal | None
    estimated: bool
    unknown: int
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True)
class Problem:
    """One kind of error in a batch: how often, one of its messages, and what to do."""

    kind: str
    count: int
    example: str
    advice: str


def progress_of(batches: Sequence[Batch]) -> list[Progress]:
    """Return how far these batches are, in one query."""
    counts = counts_of(batches)
    return [Progress(batch, counts[batch.pk]) for batch in batches]


def pace_of(progress: Progress) -> Pace:
    """Return how fast a batch goes; nothing while it stands still, is being cancelled, or is over."""
    counts = progress.counts
    done = counts.succeeded + counts.failed
    if progress.is_over or progress.batch.state != Batch.State.ACTIVE or not done:
        return Pace()
    now = timezone.now()
    runs = _runs_of(progress.batch).filter(status__in=[Status.SUCCEEDED, Status.FAILED])
    recent = runs.filter(ended_at__gt=now - RECENT).count()
    seconds = RECENT.total_seconds()
    if recent < ENOUGH:
        began = runs.aggregate(first=Min("started_at"))["first"]
        if began is None:
            return Pace()
        recent, seconds = done, max(1.0, (now - began).total_seconds())
    per_second = recent / seconds
    return Pace(per_second * 60, dt.timedelta(seconds=counts.open / per_second))


def totals_of(batch: Batch) -> Totals:
    """Return what the runs of a batch used and cost so far."""
    runs = _runs_of(batch)
    sums = runs.aggregate(cost=Sum("cost_usd"), input=Sum("input_tokens"), output=Sum("output_tokens"))
    called = runs.filter(ended_at__isnull=False, attempt_count__gt=0)
    return Totals(
        cost_usd=sums["cost"],
        estimated=called.filter(cost_estimated=True).exists(),
        unknown=called.filter(cost_usd=None).count(),
        input_tokens=sums["input"],
        output_tokens=sums["output"],
    )


def problems_of(batch: Batch) -> list[Problem]:
    """Return the errors of the failed runs by kind, the most frequent first."""
    failed = _runs_of(batch).filter(status=Status.FAILED).values(kind=KT("error__kind"))
    rows = failed.annotate(number=Count("id"), example=Min(KT("error__message"))).order_by("-number", "kind")
    return [
        Problem(row["kind"] or "", row["number"], row["example"] or "", advice_on(row["kind"] or "")) for row in rows
    ]


def ended_at(batch: Batch) -> dt.datetime | None:
    """Return when the last run of a batch ended so far."""
    last: dt.datetime | None = _runs_of(batch).aggregate(last=Max("ended_at"))["last"]
    return last


def _runs_of(batch: Batch) -> QuerySet[Run]:
    return find_runs(batch.project, RunQuestion(batch=batch.pk)).select_related(None).order_by()
