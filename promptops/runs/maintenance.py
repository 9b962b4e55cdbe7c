"""What keeps the queue going when something was lost, and the tables in order. The beat calls it."""

from __future__ import annotations

import datetime as dt
import logging
import uuid

from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone

from promptops.accounts import idempotency, throttle
from promptops.core import changes
from promptops.runs.batch_ends import end_batches
from promptops.runs.doorbell import QUEUES, ring
from promptops.runs.models import Worker
from promptops.runs.partitions import ensure_partitions
from promptops.runs.recording import take_back_expired

UNTAKEN_SECONDS = 2.0
WORKER_LIFE = dt.timedelta(hours=1)

logger = logging.getLogger(__name__)

_UNTAKEN = """
SELECT EXISTS (
    SELECT FROM runs_run
    WHERE status = 'queued' AND NOT held AND queue = %s AND created_at < now() - make_interval(secs => %s)
      AND (not_before IS NULL OR not_before <= now()))
"""


def reconcile(*, awake: str = "") -> list[uuid.UUID]:
    """Take expired leases back, ring every queue in which a run waits that should have begun, and note which batches
    have ended.

    A busy executor does this too, since it may keep all worker processes from the beat's messages; ``awake`` is its
    own queue, which needs no bell. Returns the runs that ended by it.
    """
    ended = take_back_expired()
    for queue in QUEUES:
        if queue != awake and _is_untaken(queue):
            ring(queue)
    end_batches()
    return ended


def _is_untaken(queue: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_UNTAKEN, [queue, UNTAKEN_SECONDS])
        ((untaken,),) = cursor.fetchall()
    return bool(untaken)


def tidy() -> None:
    """Make partitions ahead, and delete rows whose time is over."""
    made = ensure_partitions()
    if made:
        logger.info("Made %d partitions for the coming months", made)
    changes.prune()
    idempotency.prune()
    throttle.prune()
    SessionStore.clear_expired()
    Worker.objects.filter(seen_at__lt=timezone.now() - WORKER_LIFE).delete()
