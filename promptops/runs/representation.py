"""Runs, their calls and batches as JSON: what REST answers and what the ``ended`` event carries.

``schemas`` describes the same shapes. Money is a JSON number of USD (at most ten decimals: a double holds every amount
below 100,000 USD exactly enough to give the same decimals back); null means that nobody knows, never 0.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.conf import settings

from promptops.runs.models import Attempt, Batch, Run, RunPayload
from promptops.runs.selectors import Counts, attempts_by_run, payloads_of


def run_json(run: Run, attempts: Sequence[Attempt], payload: RunPayload | None = None) -> dict[str, Any]:
    """Return a run as JSON, without its texts where ``payload`` is None.

    Args:
        run: with ``project``, ``prompt``, ``version`` and ``endpoint`` selected.
        attempts: its provider calls, in their order.
    """
    texts: dict[str, Any] = {}
    if payload is not None:
        texts = {
            "variables": payload.variables,
            "messages": payload.messages or [],
            "parameters": payload.parameters,
            "includes": payload.includes,
            "output": payload.output,
        }
    return {
        "id": str(run.pk),
        "status": run.status,
        "prompt": run.prompt.slug if run.prompt else None,
        "version": run.version.number if run.version else None,
        "label": run.label or None,
        "endpoint": run.endpoint.slug,
        "batch": str(run.batch_id) if run.batch_id else None,
        **texts,
        "finish_reason": run.finish_reason or None,
        "request_model": run.request_model,
        "response_model": run.response_model or None,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cached_input_tokens": run.cached_input_tokens,
        "reasoning_tokens": run.reasoning_tokens,
        "cost_usd": _money(run.cost_usd),
        "cost_estimated": run.cost_estimated,
        "latency_ms": run.latency_ms,
        "time_to_first_token_ms": run.time_to_first_token_ms,
        "error": _error(run.error),
        "attempts": [attempt_json(attempt) for attempt in attempts],
        "cached": run.cached,
        "metadata": run.metadata,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "url": f"{settings.PUBLIC_URL}/p/{run.project.slug}/runs/{run.pk}/",
    }


def runs_json(runs: Sequence[Run], *, texts: bool) -> list[dict[str, Any]]:
    """Return runs as JSON, with one query for all their calls and one for all their texts."""
    attempts = attempts_by_run(runs)
    payloads = payloads_of(runs) if texts else {}
    return [run_json(run, attempts.get(run.pk, []), payloads.get(run.pk)) for run in runs]


def whole_runs(run_ids: Collection[uuid.UUID]) -> list[tuple[Run, dict[str, Any]]]:
    """Return runs with their JSON, by ids that somebody was allowed to see: there is no tenant's filter here."""
    names = ("project", "prompt", "version", "endpoint")
    runs = list(Run.objects.filter(pk__in=run_ids).select_related(*names))
    return list(zip(runs, runs_json(runs, texts=True), strict=True))


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """Return a provider call as JSON."""
    return {
        "number": attempt.number,
        "status": attempt.status,
        "endpoint": attempt.endpoint.slug,
        "request_model": attempt.request_model,
        "response_model": attempt.response_model or None,
        "response_id": attempt.response_id or None,
        "input_tokens": attempt.input_tokens,
        "output_tokens": attempt.output_tokens,
        "cached_input_tokens": attempt.cached_input_tokens,
        "cache_write_tokens": attempt.cache_write_tokens,
        "reasoning_tokens": attempt.reasoning_tokens,
        "cost_usd": _money(attempt.cost_usd),
        "cost_estimated": attempt.usage_estimated,
        "latency_ms": attempt.latency_ms,
        "time_to_first_token_ms": attempt.time_to_first_token_ms,
        "error": _error(attempt.error),
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
    }


def batch_json(batch: Batch, counts: Counts) -> dict[str, Any]:
    """Return a batch as JSON."""
    return {
        "id": str(batch.pk),
        "state": batch.state,
        "prompt": batch.prompt.slug,
        "version": batch.version.number,
        "label": batch.label or None,
        "endpoint": batch.endpoint.slug,
        "total": batch.total,
        "counts": vars(counts),
        "created_by": batch.created_by.name if batch.created_by else None,
        "created_at": batch.created_at,
        "url": f"{settings.PUBLIC_URL}/p/{batch.project.slug}/runs/batches/{batch.pk}/",
    }


def _money(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _error(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {
        "kind": error.get("kind", ""),
        "message": error.get("message", ""),
        "permanent": bool(error.get("permanent", True)),
        "status": error.get("status"),
    }
