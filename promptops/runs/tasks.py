"""The Celery side: doorbells and the beat. The work itself is in ``execution`` and ``recording``."""

from __future__ import annotations

import logging
from typing import Any

from celery import shared_task, signals

from promptops.runs import maintenance
from promptops.runs.doorbell import WORK_TASK, ring
from promptops.runs.workers import PROCESS

HANDOVER_SECONDS = 60.0

logger = logging.getLogger(__name__)


@shared_task(name=WORK_TASK)
def work(queue: str) -> None:
    """Somebody rang: execute what is queued. After a minute a fresh message goes on, so that no task runs for ever."""
    if PROCESS.executor(queue).work(HANDOVER_SECONDS):
        ring(queue)


@shared_task
def reconcile() -> None:
    """Every few seconds: take back what dead workers held, and ring for what nobody took."""
    maintenance.reconcile()


@shared_task
def tidy() -> None:
    """Daily: make the next months' partitions, delete what has had its time."""
    maintenance.tidy()


@signals.beat_init.connect
def _tidy_at_start(**_: Any) -> None:
    """The beat's first day would end without partitions made ahead."""
    try:
        tidy.apply_async(queue="default", expires=3600)
    except Exception as error:
        logger.warning("The first tidying was not asked for (%s); the next is due in a day.", error)
