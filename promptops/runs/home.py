"""The last seven days of a project's runs beside the seven before, and what needs somebody now."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from promptops.accounts.models import Project
from promptops.catalog.querysets import endpoints_of
from promptops.core.ids import first_uuid7_at
from promptops.prompts.models import PromptActivity
from promptops.runs.liveness import QueueState, queue_states
from promptops.runs.models import Run, Status
from promptops.runs.querysets import runs_of

DAYS = 7
SHOWN = 5
FAILURES_WITHIN = dt.timedelta(days=1)
MEDIAN_OF = 10_000
"""The median is that of the newest so many runs: more would take time and change it by nothing."""

_MEDIAN = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FROM (
    SELECT latency_ms FROM runs_run
    WHERE project_id = %s AND id >= %s AND id < %s AND status = 'succeeded' AND latency_ms IS NOT NULL
    ORDER BY id DESC LIMIT %s) AS newest
"""


@dataclass(frozen=True)
class Week:
    """Ended runs of seven days (UTC). ``cost_usd`` is the sum of what is known; ``median_ms`` is of succeeded runs."""

    runs: int
    failed: int
    cost_usd: Decimal
    median_ms: float | None

    @property
    def failed_percent(self) -> float | None:
        return 100 * self.failed / self.runs if self.runs else None


def week_of(project: Project, last: dt.date) -> Week:
    """Return the seven days that end with ``last``."""
    first = last - dt.timedelta(days=DAYS - 1)
    activity = PromptActivity.objects.filter(prompt__project=project, day__gte=first, day__lte=last)
    sums = activity.aggregate(runs=Sum("runs"), failed=Sum("failed"), cost=Sum("cost_usd"))
    return Week(sums["runs"] or 0, sums["failed"] or 0, sums["cost"] or Decimal(0), _median_ms(project, first, last))


def running_now(project: Project) -> tuple[list[Run], int, int]:
    """Return some runs that have not ended, the running ones first, and how many run and wait.

    What a paused batch holds back does not wait for a worker, so it is not among them. Each half has its partial index.
    """
    running = runs_of(project).filter(status=Status.RUNNING)
    queued = runs_of(project).filter(status=Status.QUEUED, held=False)
    shown = list(running[:SHOWN])
    shown += list(queued[: SHOWN - len(shown)]) if len(shown) < SHOWN else []
    return shown, running.order_by().count(), queued.order_by().count()


def recent_failures(project: Project) -> list[Run]:
    """Return the newest runs that failed within a day."""
    since = first_uuid7_at(timezone.now() - FAILURES_WITHIN)
    return list(runs_of(project).filter(status=Status.FAILED, id__gte=since)[:SHOWN])


def queues_in_use(project: Project) -> list[QueueState]:
    """Return the state of each queue that the project's endpoints need."""
    needed = {endpoint.queue for endpoint in endpoints_of(project)}
    return [state for queue, state in queue_states().items() if queue in needed]


def _median_ms(project: Project, first: dt.date, last: dt.date) -> float | None:
    begin = dt.datetime.combine(first, dt.time.min, tzinfo=dt.UTC)
    end = dt.datetime.combine(last + dt.timedelta(days=1), dt.time.min, tzinfo=dt.UTC)
    with connection.cursor() as cursor:
        cursor.execute(_MEDIAN, [project.pk, first_uuid7_at(begin), first_uuid7_at(end), MEDIAN_OF])
        (median,) = cursor.fetchall()[0]
    return None if median is None else float(median)
