"""When a batch has ended: noticed within seconds by the reconciler, whichever way its last run came to its end."""

from __future__ import annotations

import uuid

from django.db import connection, transaction
from django.urls import reverse

from promptops.accounts.actors import SYSTEM
from promptops.notifications.services import emit, notify
from promptops.runs.models import Batch
from promptops.runs.selectors import Counts, counts_of

# Batches that have not ended are few (their index holds no others), and whether one still has an open run is one look
# into the index of its runs. The row's lock lets one of two reconcilers take it.
_END = """
UPDATE runs_batch b SET ended_at = now()
WHERE b.ended_at IS NULL
  AND NOT EXISTS (SELECT FROM runs_run r WHERE r.batch_id = b.id AND r.status IN ('queued', 'running'))
RETURNING b.id
"""


@transaction.atomic
def end_batches() -> list[uuid.UUID]:
    """Mark the batches whose last run has ended, and tell of them. Returns their ids."""
    with connection.cursor() as cursor:
        cursor.execute(_END)
        ids = [row[0] for row in cursor.fetchall()]
    batches = list(Batch.objects.filter(pk__in=ids).select_related("project", "prompt", "version", "created_by"))
    counts = counts_of(batches)
    for batch in batches:
        _tell(batch, counts[batch.pk])
    return ids


def _tell(batch: Batch, counts: Counts) -> None:
    page = reverse("runs:batch-detail", args=[batch.project.slug, batch.pk])
    payload = {
        "batch": str(batch.pk),
        "prompt": {"id": batch.prompt_id, "slug": batch.prompt.slug},
        "version": batch.version.number,
        "state": batch.state,
        "total": batch.total,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "blocked": counts.blocked,
    }
    emit(batch.project, "batch.ended", payload, url=page, actor=SYSTEM)
    if batch.created_by is not None:
        notify(
            batch.project,
            [batch.created_by],
            "batch.ended",
            params={"prompt": batch.prompt.slug, "succeeded": counts.succeeded, "total": batch.total},
            url=page,
            actor=SYSTEM,
        )
