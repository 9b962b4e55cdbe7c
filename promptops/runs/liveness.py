"""Is anybody there? Which worker processes live, and what somebody who waits for a run is told."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.runs.doorbell import QUEUES
from promptops.runs.models import Batch, Run, Status, Worker

ALIVE = dt.timedelta(seconds=20)
"""Workers say every 5 s that they live; one that was silent for longer than this counts as gone."""


@dataclass(frozen=True)
class QueueState:
    """The workers of one queue: how many processes live, how many runs they hold, what they are busy with."""

    queue: str
    alive: int = 0
    running: int = 0
    note: str = ""


@dataclass(frozen=True)
class Waiting:
    """Why a run has no text yet, for the person in front of it. ``stuck``: nothing happens until somebody acts."""

    text: str
    todo: str = ""
    stuck: bool = False


def living_workers() -> QuerySet[Worker]:
    """Worker processes that were seen a moment ago."""
    return Worker.objects.filter(seen_at__gt=timezone.now() - ALIVE)


def queue_states() -> dict[str, QueueState]:
    """Return the state of every queue, also of those that nobody serves."""
    workers = list(living_workers())
    return {queue: _state(queue, [worker for worker in workers if worker.queue == queue]) for queue in QUEUES}


def waiting_for(run: Run, state: QueueState) -> Waiting | None:
    """Return what to say while the run is queued, or running without a word so far; None once it has ended.

    ``run.batch`` should be selected with it.
    """
    if run.status == Status.RUNNING:
        return Waiting(state.note or _("The model has begun; no text has come yet."))
    if run.status != Status.QUEUED:
        return None
    if run.batch is not None and run.batch.state == Batch.State.PAUSED:
        return Waiting(_("Its batch is paused."), _("Resume the batch to let it begin."), stuck=True)
    if not state.alive:
        return no_worker(state.queue)
    if run.not_before is not None and run.not_before > timezone.now():
        seconds = max(1, round((run.not_before - timezone.now()).total_seconds()))
        reason = (run.error or {}).get("message", "")
        text = _("Attempt %(attempt)d failed; the next one begins in %(seconds)d s.")
        return Waiting(text % {"attempt": run.attempt_count, "seconds": seconds}, reason)
    return Waiting(state.note or _("Waiting for a free worker."))


def no_worker(queue: str) -> Waiting:
    """What to say, and to do, where no worker serves a queue."""
    return Waiting(
        _("No worker serves the queue “%s”, so this run waits.") % queue,
        _("Start a worker: “manage.py up” starts one for each queue. The run begins by itself then."),
        stuck=True,
    )


def _state(queue: str, workers: list[Worker]) -> QueueState:
    return QueueState(
        queue,
        alive=len(workers),
        running=sum(worker.running for worker in workers),
        note=next((worker.note for worker in workers if worker.note), ""),
    )
