"""The wake-up of a queue's workers. It carries no run: who hears it looks into the database."""

from __future__ import annotations

import logging

from celery import current_app

QUEUES = ("api", "local")
WORK_TASK = "promptops.runs.tasks.work"

logger = logging.getLogger(__name__)


def ring(queue: str) -> None:
    """Tell one worker of the queue to look. Never raises: where the broker is away, ``reconcile`` rings later."""
    try:
        current_app.send_task(WORK_TASK, args=[queue], queue=queue, expires=600)
    except Exception as error:
        logger.warning("The bell of queue %s was not rung (%s); the reconciler will.", queue, error)
