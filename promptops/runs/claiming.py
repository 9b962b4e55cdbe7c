"""Taking work from the database: which runs next, under which lease, and what a worker needs to execute them.

Order: priority; then fair between projects (the project with fewer runs in flight goes first, run by run); then age. A
claim, its lease and the open ``Attempt`` are one short transaction: when it has committed, and not before, may the
provider be called.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from promptops.catalog.models import Endpoint
from promptops.runs.costs import Prices
from promptops.runs.recording import count_activity


@dataclass(frozen=True)
class Job:
    """One claimed run: everything that its call needs, and the token without which nothing may be recorded for it."""

    run_id: uuid.UUID
    token: uuid.UUID
    attempt: int
    project_id: int
    endpoint: Endpoint = field(repr=False)
    model_name: str
    messages: Sequence[Mapping[str, Any]] = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)
    output_schema: Mapping[str, Any] | None = field(repr=False)
    prices: Prices = field(repr=False)
    stream: bool
    retry_safe: bool
    queued_at: dt.datetime


# The projects that wait are found by hopping through the claim index, so that a backlog of 10,000 runs of one project
# costs no more than one of 10. Rows locked here and not chosen are free again at commit, a moment later.
_CHOOSE = """
WITH RECURSIVE project (id) AS (
    (SELECT project_id FROM runs_run
     WHERE status = 'queued' AND NOT held AND queue = %(queue)s ORDER BY project_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.project_id FROM runs_run r
            WHERE r.status = 'queued' AND NOT r.held AND r.queue = %(queue)s AND r.project_id > project.id
            ORDER BY r.project_id LIMIT 1)
    FROM project WHERE project.id IS NOT NULL
), busy AS (
    SELECT project_id, count(*) AS running FROM runs_run
    WHERE status = 'running' AND queue = %(queue)s GROUP BY project_id
), waiting AS (
    SELECT candidate.id, candidate.priority, candidate.claims, coalesce(busy.running, 0)
           + row_number() OVER (PARTITION BY candidate.project_id ORDER BY candidate.priority, candidate.id) AS turn
    FROM project
    CROSS JOIN LATERAL (
        SELECT r.id, r.project_id, r.priority, r.claims FROM runs_run r
        WHERE r.status = 'queued' AND NOT r.held AND r.queue = %(queue)s AND r.project_id = project.id
          AND (r.not_before IS NULL OR r.not_before <= now())
          AND (r.batch_id IS NULL OR EXISTS (SELECT FROM runs_batch b WHERE b.id = r.batch_id AND b.state = 'active'))
        ORDER BY r.priority, r.id LIMIT %(slots)s FOR UPDATE OF r SKIP LOCKED
    ) candidate
    LEFT JOIN busy ON busy.project_id = candidate.project_id
    WHERE project.id IS NOT NULL
)
SELECT id, claims FROM waiting ORDER BY priority, turn, id LIMIT %(slots)s
"""

_LEASE = """
WITH claimed AS (
    UPDATE runs_run r SET status = 'running', lease_token = gen_random_uuid(),
        lease_expires_at = now() + make_interval(secs => %(lease)s), claims = r.claims + 1,
        attempt_count = r.attempt_count + 1, worker = %(worker)s, not_before = NULL,
        started_at = coalesce(r.started_at, now())
    WHERE r.id = ANY(%(ids)s)
    RETURNING r.id, r.lease_token, r.attempt_count, r.project_id, r.endpoint_id, r.request_model, r.spec_id, r.stream,
        r.retry_safe, r.priority, r.created_at
), opened AS (
    INSERT INTO runs_attempt (run_id, number, lease_token, endpoint_id, request_model, status, input_price,
        output_price, cached_input_price, cache_write_price, usage_estimated, response_id, response_model, started_at)
    SELECT c.id, c.attempt_count, c.lease_token, c.endpoint_id, c.request_model, 'open', e.input_price, e.output_price,
        e.cached_input_price, e.cache_write_price, false, '', '', now()
    FROM claimed c JOIN catalog_endpoint e ON e.id = c.endpoint_id
)
SELECT c.id, c.lease_token, c.attempt_count, c.project_id, c.endpoint_id, c.request_model, c.spec_id, c.stream,
    c.retry_safe, c.created_at, p.messages, p.parameters
FROM claimed c JOIN runs_runpayload p ON p.run_id = c.id AND p.run_id = ANY(%(ids)s)
ORDER BY c.priority, c.id
"""

_POISON = """
UPDATE runs_run SET status = 'failed', ended_at = now(), lease_token = NULL, lease_expires_at = NULL, error = %(error)s
WHERE id = ANY(%(ids)s)
"""

# A worker that died with the run in hand did so for a reason that may well be this run.
POISON = {
    "kind": "worker_lost",
    "message": "The worker died each time it executed this run, so it is not tried again.",
    "permanent": True,
}


def claim(queue: str, slots: int, worker: str) -> list[Job]:
    """Claim up to ``slots`` runs of the queue. One claimed ``RUN_MAX_CLAIMS`` times in vain ends as failed."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CHOOSE, {"queue": queue, "slots": slots})
        chosen = cursor.fetchall()
        poisonous = [run_id for run_id, claims in chosen if claims >= settings.RUN_MAX_CLAIMS]
        ids = [run_id for run_id, claims in chosen if claims < settings.RUN_MAX_CLAIMS]
        if poisonous:
            cursor.execute(_POISON, {"ids": poisonous, "error": json.dumps(POISON)})
            count_activity(cursor, poisonous)
        if not ids:
            return []
        cursor.execute(_LEASE, {"ids": ids, "lease": settings.RUN_LEASE_SECONDS, "worker": worker})
        rows = cursor.fetchall()
    return _jobs(rows)


def next_due(queue: str) -> dt.timedelta | None:
    """Return how long until the next run that waits for its ``not_before`` may begin; None when none waits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(not_before) - now() FROM runs_run WHERE status = 'queued' AND NOT held AND queue = %s",
            [queue],
        )
        ((due,),) = cursor.fetchall()
    return due if due is None or isinstance(due, dt.timedelta) else None


def _jobs(rows: Sequence[Sequence[Any]]) -> list[Job]:
    endpoints = Endpoint.objects.select_related("credential").in_bulk({row[4] for row in rows})
    schemas = _output_schemas({row[6] for row in rows})
    jobs = []
    for run_id, token, attempt, project_id, endpoint_id, model_name, spec_id, stream, safe, queued, sent, given in rows:
        endpoint = endpoints[endpoint_id]
        jobs.append(
            Job(
                run_id=run_id,
                token=token,
                attempt=attempt,
                project_id=project_id,
                endpoint=endpoint,
                model_name=model_name,
                messages=_json(sent) or [],
                parameters=_json(given),
                output_schema=schemas[spec_id],
                prices=Prices(
                    endpoint.input_price,
                    endpoint.output_price,
                    endpoint.cached_input_price,
                    endpoint.cache_write_price,
                    endpoint.price_limit,
                ),
                stream=stream,
                retry_safe=safe,
                queued_at=queued,
            )
        )
    return jobs


def _json(value: Any) -> Any:
    """A jsonb column of a raw cursor: Django has it left as text."""
    return json.loads(value) if isinstance(value, str | bytes) else value


_schemas: dict[int, Mapping[str, Any] | None] = {}
SCHEMAS_KEPT = 2000


def _output_schemas(spec_ids: Iterable[int]) -> Mapping[int, Mapping[str, Any] | None]:
    """Specs never change, so each is read once."""
    missing = [spec_id for spec_id in spec_ids if spec_id not in _schemas]
    if missing:
        if len(_schemas) > SCHEMAS_KEPT:
            _schemas.clear()
            missing = list(spec_ids)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id, content -> 'output_schema' FROM prompts_promptspec WHERE id = ANY(%s)", [missing]
            )
            _schemas.update((spec_id, _json(schema)) for spec_id, schema in cursor.fetchall())
    return _schemas
