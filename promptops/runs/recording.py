"""Writing down what became of runs: in bulk, once, and only by whoever holds the lease.

A result counts only while the run is ``running`` under the very token it was claimed with (fencing). So a worker that
was frozen, cut off from the database, or given up for dead changes nothing when it comes back; and a result whose
commit was answered by a broken connection can simply be recorded again.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from promptops.runs.models import Attempt, Batch, Status


@dataclass(frozen=True)
class Outcome:
    """What became of one claimed run. ``status`` None: back to the queue, for ``retry_in`` seconds at least.

    ``attempt_status`` says what became of the call. Times are milliseconds, money is USD; None is "unknown".
    """

    run_id: uuid.UUID
    token: uuid.UUID
    attempt: int
    status: Status | None
    attempt_status: Attempt.Status
    started_at: dt.datetime
    ended_at: dt.datetime
    retry_in: float = 0.0
    output: str | None = None
    finish_reason: str = ""
    response_model: str = ""
    response_id: str = ""
    system_fingerprint: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_estimated: bool = False
    cost_usd: Decimal | None = None
    latency_ms: int | None = None
    time_to_first_token_ms: int | None = None
    error: Mapping[str, Any] | None = None


CANCELLED_ERROR = {"kind": "cancelled", "message": "The run was cancelled.", "permanent": True}

_HELD = """
SELECT r.id, r.lease_token, r.cancel_requested_at IS NOT NULL, b.state FROM runs_run r
LEFT JOIN runs_batch b ON b.id = r.batch_id
WHERE r.id = ANY(%(ids)s) AND r.status = 'running' ORDER BY r.id FOR UPDATE OF r
"""

_SHAPE = """jsonb_to_recordset(%(outcomes)s::jsonb) AS o (run_id uuid, number int, token uuid, status text,
    held boolean, retry_in float, attempt_status text, started_at timestamptz,
    ended_at timestamptz, output text, finish_reason text, response_model text, response_id text,
    system_fingerprint text, input_tokens int, output_tokens int, cached_input_tokens int, cache_write_tokens int,
    reasoning_tokens int, usage_estimated boolean, cost_usd numeric, latency_ms int, time_to_first_token_ms int,
    error jsonb)"""

_RECORD_ATTEMPTS = f"""
UPDATE runs_attempt a SET status = o.attempt_status, started_at = o.started_at, ended_at = o.ended_at,
    input_tokens = o.input_tokens, output_tokens = o.output_tokens, cached_input_tokens = o.cached_input_tokens,
    cache_write_tokens = o.cache_write_tokens, reasoning_tokens = o.reasoning_tokens,
    usage_estimated = o.usage_estimated, cost_usd = o.cost_usd, response_id = o.response_id,
    response_model = o.response_model, error = o.error, latency_ms = o.latency_ms,
    time_to_first_token_ms = o.time_to_first_token_ms
FROM {_SHAPE}
WHERE a.run_id = ANY(%(ids)s) AND a.run_id = o.run_id AND a.number = o.number AND a.lease_token = o.token
"""  # noqa: S608

_RECORD_OUTPUT = f"""
UPDATE runs_runpayload p SET output = o.output FROM {_SHAPE}
WHERE p.run_id = ANY(%(ids)s) AND p.run_id = o.run_id AND o.output IS NOT NULL
"""  # noqa: S608

# A run's cost is that of all its attempts, and unknown while one of them is.
_RECORD_RUNS = f"""
UPDATE runs_run r SET status = o.status, ended_at = CASE WHEN o.status <> 'queued' THEN o.ended_at END,
    lease_token = NULL, lease_expires_at = NULL, held = o.held,
    not_before = CASE WHEN o.status = 'queued' THEN now() + make_interval(secs => o.retry_in) END,
    claims = CASE WHEN o.status = 'queued' THEN 0 ELSE r.claims END,
    finish_reason = o.finish_reason, response_model = o.response_model, response_id = o.response_id,
    system_fingerprint = o.system_fingerprint, input_tokens = o.input_tokens, output_tokens = o.output_tokens,
    cached_input_tokens = o.cached_input_tokens, reasoning_tokens = o.reasoning_tokens,
    usage_estimated = o.usage_estimated, latency_ms = o.latency_ms,
    time_to_first_token_ms = o.time_to_first_token_ms, error = o.error,
    cost_usd = CASE WHEN o.number = 1 THEN o.cost_usd ELSE (
        SELECT CASE WHEN bool_and(a.cost_usd IS NOT NULL) THEN sum(a.cost_usd) END
        FROM runs_attempt a WHERE a.run_id = o.run_id) END,
    cost_estimated = CASE WHEN o.number = 1 THEN o.usage_estimated ELSE (
        SELECT bool_or(a.usage_estimated) FROM runs_attempt a WHERE a.run_id = o.run_id) END
FROM {_SHAPE}
WHERE r.id = ANY(%(ids)s) AND r.id = o.run_id
"""  # noqa: S608

_COUNT = """
INSERT INTO prompts_promptactivity (prompt_id, version_number, day, runs, failed, cost_usd)
SELECT r.prompt_id, coalesce(v.number, 0), (r.ended_at AT TIME ZONE 'UTC')::date, count(*),
    count(*) FILTER (WHERE r.status = 'failed'), coalesce(sum(r.cost_usd), 0)
FROM runs_run r LEFT JOIN prompts_promptversion v ON v.id = r.version_id
WHERE r.id = ANY(%(ids)s) AND r.prompt_id IS NOT NULL AND r.started_at IS NOT NULL
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (prompt_id, version_number, day) DO UPDATE SET runs = prompts_promptactivity.runs + excluded.runs,
    failed = prompts_promptactivity.failed + excluded.failed,
    cost_usd = prompts_promptactivity.cost_usd + excluded.cost_usd
"""


def record(outcomes: Sequence[Outcome]) -> list[uuid.UUID]:
    """Record outcomes in one transaction; return the ids of the runs that ended by it.

    Outcomes under a lease that is no longer held are dropped: somebody else has the run, or it has ended.
    """
    by_lease = {(outcome.run_id, outcome.token): outcome for outcome in outcomes}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_HELD, {"ids": list({outcome.run_id for outcome in outcomes})})
        mine = [
            _settled(by_lease[run_id, token], cancel_requested, batch_state)
            for run_id, token, cancel_requested, batch_state in cursor.fetchall()
            if (run_id, token) in by_lease
        ]
        if not mine:
            return []
        parameters: dict[str, Any] = {"ids": [row["run_id"] for row in mine], "outcomes": json.dumps(mine, default=str)}
        cursor.execute(_RECORD_ATTEMPTS, parameters)
        if any(row["output"] is not None for row in mine):
            cursor.execute(_RECORD_OUTPUT, parameters)
        cursor.execute(_RECORD_RUNS, parameters)
        ended = [row["run_id"] for row in mine if row["status"] != Status.QUEUED]
        count_activity(cursor, ended)
    return ended


def _settled(outcome: Outcome, cancel_requested: bool, batch_state: str | None) -> dict[str, Any]:
    """The row to write: a run that would wait again, and was cancelled meanwhile, ends."""
    if outcome.status is None and (cancel_requested or batch_state == Batch.State.CANCELLED):
        outcome = replace(outcome, status=Status.CANCELLED)
    row = vars(outcome) | {"number": outcome.attempt, "status": outcome.status or Status.QUEUED}
    row["held"] = outcome.status is None and batch_state == Batch.State.PAUSED
    return row


def count_activity(cursor: CursorWrapper, ended: Sequence[uuid.UUID]) -> None:
    """Count runs that began and have now ended, in the transaction that ends them."""
    if ended:
        cursor.execute(_COUNT, {"ids": list(ended)})


@dataclass(frozen=True)
class Leases:
    """What a look at one's own leases found."""

    lost: frozenset[uuid.UUID]
    cancelled: frozenset[uuid.UUID]


def look_after(held: Mapping[uuid.UUID, uuid.UUID], *, renew: bool) -> Leases:
    """Find which of the held leases (run → token) are lost or to be cancelled; renew the others when asked to."""
    with connection.cursor() as cursor:
        if renew:
            cursor.execute(
                "UPDATE runs_run SET lease_expires_at = now() + make_interval(secs => %s) "
                "WHERE id = ANY(%s) AND lease_token = ANY(%s) AND status = 'running' "
                "RETURNING id, lease_token, cancel_requested_at IS NOT NULL",
                [settings.RUN_LEASE_SECONDS, list(held), list(held.values())],
            )
        else:
            cursor.execute(
                "SELECT id, lease_token, cancel_requested_at IS NOT NULL FROM runs_run "
                "WHERE id = ANY(%s) AND status = 'running'",
                [list(held)],
            )
        rows = [row for row in cursor.fetchall() if held[row[0]] == row[1]]
    return Leases(
        lost=frozenset(held) - {row[0] for row in rows},
        cancelled=frozenset(row[0] for row in rows if row[2]),
    )


_EXPIRED = """
SELECT r.id, r.retry_safe, r.cancel_requested_at IS NOT NULL, coalesce(b.state, '') FROM runs_run r
LEFT JOIN runs_batch b ON b.id = r.batch_id
WHERE r.status = 'running' AND r.lease_expires_at < now()
ORDER BY r.id LIMIT 1000 FOR UPDATE OF r SKIP LOCKED
"""

_TAKE_BACK = """
UPDATE runs_run r SET status = o.status, held = o.held, lease_token = NULL, lease_expires_at = NULL, cost_usd = NULL,
    ended_at = CASE WHEN o.status <> 'queued' THEN now() END, error = o.error
FROM jsonb_to_recordset(%(rows)s::jsonb) AS o (id uuid, status text, held boolean, error jsonb)
WHERE r.id = ANY(%(ids)s) AND r.id = o.id
"""

UNREPEATABLE = {
    "kind": "worker_lost",
    "message": "The worker died during the call, and this run must not be called twice. It may have been billed.",
    "permanent": True,
}


def take_back_expired() -> list[uuid.UUID]:
    """Take back the runs of dead workers: to the queue, or to their end where they may not go on. Return the ended.

    Their calls are ``unknown``: the provider may have answered, and billed; so nobody knows what the run costs. How
    often a run was claimed in vain stays counted, and ends it at the next claim when it was too often.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_EXPIRED)
        rows = [_taken_back(*row) for row in cursor.fetchall()]
        if not rows:
            return []
        ids = [row["id"] for row in rows]
        cursor.execute(
            "UPDATE runs_attempt SET status = 'unknown', ended_at = now() WHERE run_id = ANY(%s) AND status = 'open'",
            [ids],
        )
        cursor.execute(_TAKE_BACK, {"ids": ids, "rows": json.dumps(rows, default=str)})
        ended = [row["id"] for row in rows if row["status"] != Status.QUEUED]
        count_activity(cursor, ended)
    return ended


def _taken_back(run_id: uuid.UUID, retry_safe: bool, cancel_requested: bool, batch_state: str) -> dict[str, Any]:
    row: dict[str, Any] = {"id": run_id, "status": Status.QUEUED, "held": False, "error": None}
    if cancel_requested or batch_state == Batch.State.CANCELLED:
        row |= {"status": Status.CANCELLED, "error": CANCELLED_ERROR}
    elif not retry_safe:
        row |= {"status": Status.FAILED, "error": UNREPEATABLE}
    else:
        row["held"] = batch_state == Batch.State.PAUSED
    return row
