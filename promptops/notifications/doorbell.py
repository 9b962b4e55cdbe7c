"""The wake-up of whoever delivers. It carries nothing: who hears it looks into the database."""

from __future__ import annotations

import logging

from celery import current_app
from django.db import transaction

TASK = "promptops.notifications.tasks.deliver"

logger = logging.getLogger(__name__)


def ring_on_commit() -> None:
    """Ring when the open transaction is committed (at once where none is)."""
    transaction.on_commit(ring)


def ring() -> None:
    """Have a worker look for what is due. Never raises: where the broker is away, the beat rings later."""
    try:
        current_app.send_task(TASK, queue="default", expires=60)
    except Exception as error:
        logger.warning("The bell of the notifications was not rung (%s); the beat will.", error)
