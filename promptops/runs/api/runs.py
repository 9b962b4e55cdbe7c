"""REST: runs."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.catalog.selectors import get_endpoint as find_endpoint
from promptops.core.errors import Invalid
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, answers
from promptops.core.streaming import EVENT_STREAM, EventStreamResponse, hold_until_ended
from promptops.prompts.selectors import find_prompt
from promptops.runs import schemas, selectors, services
from promptops.runs.events import channel_of
from promptops.runs.models import Run
from promptops.runs.representation import runs_json
from promptops.runs.schemas import MAX_TEXTS, MAX_WAIT_SECONDS

router = Router(tags=["Runs"])

STREAM_ANSWER = {
    "description": "The event stream of the run.",
    "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
}
LAST_EVENT_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "required": False,
    "schema": {"type": "string"},
    "description": "The id of the last event that you have seen: the stream goes on behind it.",
}


@router.post(
    "/runs",
    response=answers(404, 409, 413, created=schemas.Run, accepted=schemas.Run),
    summary="Run a prompt",
    openapi_extra={"responses": {200: STREAM_ANSWER}},
)
def start_run(request: ApiRequest, given: schemas.RunGiven, response: HttpResponse) -> Status[Any] | HttpResponse:
    """Queues a run of the version under a label, or of the version with a number, and answers 202 with it.

    With `wait` the answer is held back until the run has ended: 201 with the ended run, however it ended (its `status`
    says); when the time is over 202, and the run goes on. With `stream` the answer is 200 with the run's event stream,
    as of `GET /runs/{id}/events`. A repeat under the same `Idempotency-Key` waits for, or streams, the run that the
    first request started.
    """
    require(request.actor, request.project, Permission.RUN)
    if given.stream and given.wait:
        text = _("Give wait or stream, not both.")
        raise Invalid(text, errors={"wait": [text]})
    run = services.start_run(
        request.actor,
        services.version_target(request.project, given.prompt, label=given.label, version=given.version),
        services.get_endpoint(request.project, given.endpoint),
        variables=given.variables,
        parameters=given.parameters,
        metadata=given.metadata,
    )
    if given.stream:
        stream = EventStreamResponse([channel_of(run.pk)])
        stream["Location"] = _path_of(run)
        return stream
    if given.wait:
        hold_until_ended(response, channel_of(run.pk), min(given.wait, MAX_WAIT_SECONDS))
    response["Location"] = _path_of(run)
    return Status(202, _json(run))


@router.get("/runs", response=answers(404, ok=Listing[schemas.RunInList]), exclude_unset=True, summary="List runs")
def list_runs(request: ApiRequest, filters: Query[schemas.RunFilters]) -> dict[str, Any]:
    """The runs of the project, newest first; without their texts, unless you ask for them."""
    project = request.project
    question = selectors.RunQuestion(
        status=tuple(filters.status),
        prompt=find_prompt(project, filters.prompt).slug if filters.prompt else "",
        version=filters.version,
        endpoint=find_endpoint(project, filters.endpoint).slug if filters.endpoint else "",
        label=filters.label,
        since=filters.since,
        until=filters.until,
        batch=selectors.get_batch(project, filters.batch).pk if filters.batch else None,
    )
    runs = selectors.find_runs(project, question).select_related("project")
    limit = min(filters.limit, MAX_TEXTS) if filters.texts else filters.limit
    page = page_of(runs, order=("-id",), cursor=filters.cursor, limit=limit)
    return {"items": runs_json(page.items, texts=filters.texts), "next": page.next}


@router.get("/runs/{uuid:run_id}", response=answers(404, ok=schemas.Run), summary="Read a run")
def read_run(request: ApiRequest, run_id: Path[uuid.UUID]) -> dict[str, Any]:
    """A run with its texts and every call that was made for it."""
    return _json(selectors.get_run(request.project, run_id))


@router.get(
    "/runs/{uuid:run_id}/events",
    response=answers(404),
    summary="Watch a run",
    openapi_extra={
        "responses": {200: STREAM_ANSWER, 204: {"description": "By Last-Event-ID, all was told before."}},
        "parameters": [LAST_EVENT_ID],
    },
)
def run_events(request: ApiRequest, run_id: Path[uuid.UUID]) -> HttpResponse:
    """Server-sent events until the run has ended.

    - `started {run, attempt, started_at}`: a call began, and with it the text begins anew.
    - `token {run, text, offset}`: the next piece of the text; `offset` counts the characters (code points) before it.
    - `ended {run, status, …}`: the whole run, as `GET /runs/{id}` answers it; then the stream closes.

    A run that has ended already is told at once, its whole text in one piece.

    Comments (`:`) come while nothing happens. The connection may close early (at the latest after ten minutes): connect
    again with the last event's id in `Last-Event-ID`, and the stream goes on behind it.
    """
    return EventStreamResponse([channel_of(selectors.get_run(request.project, run_id).pk)])


@router.post("/runs/{uuid:run_id}/cancel", response=answers(404, ok=schemas.Run), summary="Cancel a run")
def cancel_run(request: ApiRequest, run_id: Path[uuid.UUID]) -> dict[str, Any]:
    """At once while it is queued, within a second while it is running. What has ended stays as it ended."""
    run = selectors.get_run(request.project, run_id)
    services.cancel_run(request.actor, run)
    return _json(selectors.get_run(request.project, run_id))


@router.post("/runs/{uuid:run_id}/replay", response=answers(404, 409, accepted=schemas.Run), summary="Run it again")
def replay_run(
    request: ApiRequest, run_id: Path[uuid.UUID], given: schemas.ReplayGiven, response: HttpResponse
) -> Status[Any]:
    """Queues the same text with the same variables and parameters again, on the same endpoint or on another one."""
    require(request.actor, request.project, Permission.RUN)
    run = selectors.get_run(request.project, run_id)
    endpoint = services.get_endpoint(request.project, given.endpoint) if given.endpoint else None
    again = services.replay_run(request.actor, run, endpoint=endpoint)
    response["Location"] = _path_of(again)
    return Status(202, _json(again))


def _path_of(run: Run) -> str:
    return f"/api/v1/runs/{run.pk}"


def _json(run: Run) -> dict[str, Any]:
    return runs_json([run], texts=True)[0]
