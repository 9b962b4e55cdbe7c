"""One call of a provider for one claimed run, from the connection to the ``Outcome``. Runs on the worker's event loop.

No database here: what a call needs came with the ``Job``, and what became of it leaves as an ``Outcome``.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.conf import settings

from promptops.engines import (
    CompletionRequest,
    CompletionResult,
    Connection,
    Engine,
    EngineError,
    ErrorKind,
    TextDelta,
    Usage,
    create_engine,
)
from promptops.engines.usage import estimated_usage
from promptops.runs.claiming import Job
from promptops.runs.costs import Tokens, cost_of
from promptops.runs.models import Attempt, Status
from promptops.runs.recording import CANCELLED_ERROR, Outcome
from promptops.runs.retry import delay_before_retry
from promptops.runs.storable import storable_text

LOCAL_CALL_SECONDS = 1800.0  # a local model may have to be loaded, or even converted, first
SPARE_SECONDS = 5.0  # an engine ends its calls in time by itself; this is for one that does not
NAME_LENGTH = 200  # of the columns that hold what a provider says of itself
ERROR_LENGTH = 2000
ENGINES_KEPT = 200

OnText = Callable[[Job, str], None]

logger = logging.getLogger(__name__)


class Caller:
    """Calls providers. Engines (and their connection pools) live as long as the loop, one for a connection."""

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self._engines: dict[Connection, Engine] = {}

    async def call(self, job: Job, connection: Connection) -> Outcome:
        """Make the call. Never raises but when it is cancelled: then ``CallCancelled`` carries the outcome so far."""
        progress = _Progress(job)
        limit = LOCAL_CALL_SECONDS if connection.provider == "local" else float(settings.RUN_CALL_SECONDS)
        request = CompletionRequest(
            model_name=job.model_name,
            messages=job.messages,
            parameters=job.parameters,
            output_schema=job.output_schema,
            timeout=limit,
        )
        try:
            engine = self._engine(connection)
            progress.start()  # only now: the first engine of a kind imports an SDK, for a second
            async with asyncio.timeout(limit + SPARE_SECONDS):
                result = await self._complete(engine, request, progress)
        except EngineError as error:
            return progress.failed(error, request)
        except asyncio.CancelledError:
            raise CallCancelled(progress.cut_off(request)) from None
        except TimeoutError:
            return progress.failed(EngineError(ErrorKind.TIMEOUT, "The call took too long.", billed="maybe"), request)
        except Exception:
            logger.exception("Run %s: the engine failed unexpectedly", job.run_id)
            message = "The call failed by a defect on our side; the worker's log has the details."
            return progress.failed(
                EngineError(ErrorKind.SERVER_ERROR, message, permanent=True, billed="maybe"), request
            )
        return progress.succeeded(result)

    async def aclose(self) -> None:
        engines, self._engines = list(self._engines.values()), {}
        await asyncio.gather(*(engine.aclose() for engine in engines), return_exceptions=True)

    async def _complete(self, engine: Engine, request: CompletionRequest, progress: _Progress) -> CompletionResult:
        if not progress.job.stream:
            return await engine.complete(request)
        async with aclosing(engine.stream(request)) as items:
            async for item in items:
                if isinstance(item, TextDelta):
                    progress.add(item.text)
                    self._on_text(progress.job, item.text)
                else:
                    return item
        raise EngineError(ErrorKind.TRUNCATED_STREAM, "The answer ended without saying why.", billed="maybe")

    def _engine(self, connection: Connection) -> Engine:
        engine = self._engines.get(connection)
        if engine is None:
            while len(self._engines) >= ENGINES_KEPT:
                # The oldest goes; calls that it still has keep it alive until they end.
                self._engines.pop(next(iter(self._engines)))
            engine = self._engines[connection] = create_engine(connection)
        return engine


class CallCancelled(asyncio.CancelledError):
    """A call was cut off; ``outcome`` is what a cancelled run has then (its partial text, its estimated usage)."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class _Progress:
    """What is known of one call while it runs."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.pieces: list[str] = []
        self.first_token: float | None = None
        self.start()

    def start(self) -> None:
        self.started_at = dt.datetime.now(dt.UTC)
        self.started = time.monotonic()

    def add(self, text: str) -> None:
        if self.first_token is None:
            self.first_token = time.monotonic() - self.started
        self.pieces.append(text)

    def succeeded(self, result: CompletionResult) -> Outcome:
        first_token = self.first_token if self.first_token is not None else result.time_to_first_token
        return replace(
            self._outcome(Status.SUCCEEDED, Attempt.Status.SUCCEEDED),
            output=storable_text(result.text),
            finish_reason=result.finish_reason,
            response_model=storable_text(result.response_model or "", NAME_LENGTH),
            response_id=storable_text(result.response_id or "", NAME_LENGTH),
            system_fingerprint=storable_text(result.system_fingerprint or "", NAME_LENGTH),
            time_to_first_token_ms=None if first_token is None else round(first_token * 1000),
            **self._usage(result.usage),
        )

    def failed(self, error: EngineError, request: CompletionRequest) -> Outcome:
        job = self.job
        delay = delay_before_retry(error, attempts=job.attempt, retry_safe=job.retry_safe)
        partial = "".join(self.pieces) or error.partial_text
        outcome = replace(
            self._outcome(Status.FAILED if delay is None else None, Attempt.Status.FAILED),
            retry_in=delay or 0.0,
            error={
                "kind": str(error.kind),
                "message": storable_text(error.message, ERROR_LENGTH),
                "permanent": error.permanent,
                "status": error.status,
            },
            **self._spent(request, partial, error.billed),
        )
        if delay is not None:
            return outcome
        if partial:
            return replace(outcome, output=storable_text(partial), finish_reason="incomplete")
        if error.kind == ErrorKind.CONTENT_FILTER:
            return replace(outcome, finish_reason="content_filter")
        return outcome

    def cut_off(self, request: CompletionRequest) -> Outcome:
        partial = "".join(self.pieces)
        return replace(
            self._outcome(Status.CANCELLED, Attempt.Status.CANCELLED),
            output=storable_text(partial) if partial else None,
            finish_reason="cancelled",
            error=CANCELLED_ERROR,
            **self._spent(request, partial, "yes" if partial else "maybe"),
        )

    def _outcome(self, status: Status | None, attempt_status: Attempt.Status) -> Outcome:
        return Outcome(
            run_id=self.job.run_id,
            token=self.job.token,
            attempt=self.job.attempt,
            status=status,
            attempt_status=attempt_status,
            started_at=self.started_at,
            ended_at=dt.datetime.now(dt.UTC),
            latency_ms=round((time.monotonic() - self.started) * 1000),
            time_to_first_token_ms=None if self.first_token is None else round(self.first_token * 1000),
        )

    def _spent(self, request: CompletionRequest, partial: str, billed: str) -> dict[str, Any]:
        """What a call without an answer has cost: nothing, an estimate where text came, otherwise unknown."""
        if billed == "no":
            return {"cost_usd": Decimal(0)}
        if partial:
            return self._usage(estimated_usage(request, partial))
        return {}

    def _usage(self, usage: Usage) -> dict[str, Any]:
        tokens = Tokens(usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens)
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "usage_estimated": usage.estimated,
            "cost_usd": cost_of(tokens, self.job.prices),
        }
