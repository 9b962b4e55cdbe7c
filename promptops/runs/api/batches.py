"""REST: batches of runs."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, Paging, answers
from promptops.runs import schemas, selectors, services
from promptops.runs.models import Batch
from promptops.runs.querysets import batches_of
from promptops.runs.representation import batch_json

router = Router(tags=["Batches"])


@router.get("/runs/batch", response=answers(ok=Listing[schemas.Batch]), summary="List batches")
def list_batches(request: ApiRequest, paging: Query[Paging]) -> dict[str, Any]:
    """The batches of the project, newest first."""
    page = page_of(batches_of(request.project), order=("-id",), cursor=paging.cursor, limit=paging.limit)
    counts = selectors.counts_of(page.items)
    return {"items": [batch_json(batch, counts[batch.pk]) for batch in page.items], "next": page.next}


@router.post("/runs/batch", response=answers(404, 409, 413, accepted=schemas.Batch), summary="Run a prompt many times")
def start_batch(request: ApiRequest, given: schemas.BatchGiven, response: HttpResponse) -> Status[Any]:
    """Queues one run for each item, all of one version, all or none. They yield to single runs.

    Their results are in `GET /runs?batch=…&texts=true`.
    """
    require(request.actor, request.project, Permission.RUN)
    batch = services.start_batch(
        request.actor,
        services.version_target(request.project, given.prompt, label=given.label, version=given.version),
        services.get_endpoint(request.project, given.endpoint),
        [services.RunRequest(item.variables, item.metadata) for item in given.items],
        parameters=given.parameters,
    )
    response["Location"] = f"/api/v1/runs/batch/{batch.pk}"
    return Status(202, _json(batch))


@router.get("/runs/batch/{uuid:batch_id}", response=answers(404, ok=schemas.Batch), summary="Read a batch")
def read_batch(request: ApiRequest, batch_id: Path[uuid.UUID]) -> dict[str, Any]:
    """A batch, and how far it is."""
    return _json(selectors.get_batch(request.project, batch_id))


@router.post("/runs/batch/{uuid:batch_id}/cancel", response=answers(404, ok=schemas.Batch), summary="Cancel a batch")
def cancel_batch(request: ApiRequest, batch_id: Path[uuid.UUID]) -> dict[str, Any]:
    """Cancels what has not ended; running calls are cut off within a second."""
    return _json(services.cancel_batch(request.actor, selectors.get_batch(request.project, batch_id)))


@router.post("/runs/batch/{uuid:batch_id}/pause", response=answers(404, 409, ok=schemas.Batch), summary="Pause a batch")
def pause_batch(request: ApiRequest, batch_id: Path[uuid.UUID]) -> dict[str, Any]:
    """Lets nothing of it begin until it is resumed; what is running goes on."""
    return _json(services.pause_batch(request.actor, selectors.get_batch(request.project, batch_id)))


@router.post(
    "/runs/batch/{uuid:batch_id}/resume", response=answers(404, 409, ok=schemas.Batch), summary="Resume a batch"
)
def resume_batch(request: ApiRequest, batch_id: Path[uuid.UUID]) -> dict[str, Any]:
    """Goes on with a paused batch."""
    return _json(services.resume_batch(request.actor, selectors.get_batch(request.project, batch_id)))


def _json(batch: Batch) -> dict[str, Any]:
    return batch_json(batch, selectors.counts_of([batch])[batch.pk])
