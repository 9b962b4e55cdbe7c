"""Executing runs: one ``Executor`` in a worker process keeps its slots filled from the database.

Two threads. The *loop thread* runs an asyncio loop for the life of the process; every call is a task on it. The
*database thread* does everything that touches PostgreSQL, a few times a second and in bulk: it records what ended,
looks after the leases, and claims what comes next. They meet in two places: finished calls wait in a deque for the
database thread, and it hands new jobs to the loop. So no transaction is ever open while a provider works.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from functools import partial

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from promptops.engines import Connection, EngineError
from promptops.runs.calling import CallCancelled, Caller
from promptops.runs.claiming import Job, claim, next_due
from promptops.runs.connections import connection_for
from promptops.runs.doorbell import ring
from promptops.runs.events import Publisher
from promptops.runs.maintenance import reconcile
from promptops.runs.models import Attempt, Status
from promptops.runs.recording import CANCELLED_ERROR, Outcome, look_after, record

TICK_SECONDS = 0.025
"""Results that come within this time are recorded together."""

POLL_SECONDS = 0.1
"""How soon free slots look for new runs while others are busy (an idle process is rung for)."""

RING_SECONDS = 5.0
"""A process that is full tells another one this often."""

CANCEL_SECONDS = 0.4
SLOTS = {"local": 8}
GRACE_SECONDS = 4.0
"""What running calls get to end by themselves when the process is asked to stop."""

LINGER_SECONDS = 60.0
"""A worker waits this long for a run whose retry is due; longer waits are left to the reconciler."""

RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)

logger = logging.getLogger(__name__)


class Reason(Enum):
    """Why a call is cut off."""

    CANCELLED = "cancelled"
    LOST = "lost"
    STOPPING = "stopping"


@dataclass
class _Running:
    """A claimed run; ``done`` when its outcome waits to be recorded, ``reason`` when it is being cut off."""

    job: Job
    task: asyncio.Task[Outcome] | None = None
    reason: Reason | None = None
    done: bool = False


class Executor:
    """Executes the runs of one queue in this process. Started once, lives until ``stop``."""

    def __init__(self, queue: str, worker: str, *, slots: int | None = None) -> None:
        self.queue = queue
        self.worker = worker
        self.slots = slots or SLOTS.get(queue, settings.RUN_SLOTS)
        self._running: dict[uuid.UUID, _Running] = {}
        self._outcomes: deque[Outcome] = deque()
        self._lost: deque[_Running] = deque()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._lock = threading.Lock()
        self._asked = 0  # how often somebody called `work`
        self._active_until = 0.0
        self._stopping = False
        self._ended = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._due = {"look": 0.0, "renew": 0.0, "sweep": 0.0, "claim": 0.0, "ring": 0.0}
        self._threads = [
            threading.Thread(target=self._run_loop, name=f"runs-{queue}-loop", daemon=True),
            threading.Thread(target=self._run_database, name=f"runs-{queue}-database", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> int:
        """How many runs this process has in hand."""
        return len(self._running)

    def work(self, seconds: float) -> bool:
        """Execute what is queued, until nothing is left or the time is over; return whether more may be waiting."""
        if self._stopping:
            return True
        with self._lock:
            self._asked += 1
            self._idle.clear()
            self._active_until = max(self._active_until, time.monotonic() + seconds)
        self._due["claim"] = 0.0
        self._wake.set()
        self._idle.wait(seconds)
        return not self._idle.is_set() or self._stopping

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Claim nothing more; let calls end for ``grace`` seconds; give the rest back; record everything."""
        if self._stopping:
            self._ended.wait(grace)
            return
        self._stopping = True
        self._wake.set()
        until = time.monotonic() + grace
        while self._running and time.monotonic() < until:
            time.sleep(0.05)
        self._cut_off(list(self._running), Reason.STOPPING)
        self._ended.wait(grace)
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(grace)

    # --- The loop thread ------------------------------------------------------------------------------------------

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._publisher = Publisher(settings.VALKEY_URL)
        self._caller = Caller(lambda job, text: self._publisher.text(job.run_id, text))
        publishing = self._loop.create_task(self._publisher.publish_for_ever())
        try:
            self._loop.run_forever()
        finally:
            publishing.cancel()
            for closing in (self._caller.aclose(), self._publisher.aclose(), self._loop.shutdown_asyncgens()):
                with contextlib.suppress(Exception):
                    self._loop.run_until_complete(closing)
            self._loop.close()

    def _begin(self, jobs: Sequence[tuple[_Running, Connection]]) -> None:
        for running, address in jobs:
            self._publisher.begin(running.job.run_id, running.job.attempt)
            running.task = self._loop.create_task(self._call(running.job, address))
            running.task.add_done_callback(partial(self._after_call, running))

    async def _call(self, job: Job, address: Connection) -> Outcome:
        try:
            return await self._caller.call(job, address)
        except CallCancelled as cut:
            return cut.outcome

    def _after_call(self, running: _Running, task: asyncio.Task[Outcome]) -> None:
        # A task that is cancelled before its first step never enters its coroutine.
        self._finish(running, _never_called(running.job) if task.cancelled() else task.result())

    def _finish(self, running: _Running, outcome: Outcome) -> None:
        running.done = True
        was_cut = outcome.attempt_status == Attempt.Status.CANCELLED
        if running.reason is Reason.LOST:
            self._lost.append(running)
        elif was_cut and running.reason is not Reason.CANCELLED:
            self._outcomes.append(_given_back(running.job, outcome))
        else:
            self._outcomes.append(outcome)
        self._wake.set()

    def _cut_off(self, run_ids: Iterable[uuid.UUID], reason: Reason) -> None:
        """From any thread: end calls. A call that ends by itself just now wins."""
        for run_id in run_ids:
            running = self._running.get(run_id)
            if running is not None and running.reason is None and not running.done:
                running.reason = reason
                self._loop.call_soon_threadsafe(_cancel, running)

    # --- The database thread --------------------------------------------------------------------------------------

    def _run_database(self) -> None:
        failures = 0
        while not (self._stopping and not self._running and not self._outcomes):
            self._wake.wait(POLL_SECONDS if self._running or self._is_active() else None)
            self._wake.clear()
            began, asked = time.monotonic(), self._asked
            try:
                self._tick(began, asked)
                failures = 0
            except (OperationalError, InterfaceError) as error:
                failures = self._reconnect(failures, error)
            except Exception:
                logger.exception("The %s executor's database thread goes on after a defect", self.queue)
                failures = self._reconnect(failures, None)
            time.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began)))
        with contextlib.suppress(Exception):
            connection.close()
        self._idle.set()
        self._ended.set()

    def _tick(self, now: float, asked: int) -> None:
        self._forget_lost()
        if self._running and now >= self._due["look"]:
            self._look_after_leases(now)
        # Slots are filled first: one whose call has ended need not wait until the result is written down.
        looked = self._is_active() and self._fill(now)
        self._record_outcomes()
        if not self._is_active() or (looked and not self._running and not self._worth_waiting()):
            self._rest(asked)

    def _fill(self, now: float) -> bool:
        """Claim runs for the slots that are free; whether the database was asked."""
        if now >= self._due["sweep"]:
            self._due["sweep"] = now + settings.RECONCILE_SECONDS
            self._tell_ended(reconcile(awake=self.queue))
        free = self.slots - sum(not running.done for running in list(self._running.values()))
        if free <= 0 or now < self._due["claim"]:
            return False
        self._claim(free, now)
        return True

    def _rest(self, asked: int) -> None:
        """Let `work` return, if nothing runs; but not who has called it since this turn began: a run may have come."""
        with self._lock:
            if not self._running and self._asked == asked:
                self._idle.set()
                self._due["ring"] = 0.0

    def _is_active(self) -> bool:
        return not self._stopping and not self._idle.is_set() and time.monotonic() < self._active_until

    def _claim(self, free: int, now: float) -> None:
        jobs = claim(self.queue, free, self.worker)
        if len(jobs) < free:
            self._due["claim"] = now + POLL_SECONDS
        elif now >= self._due["ring"]:
            # Full, and there may be more: let another process hear of it.
            self._due["ring"] = now + RING_SECONDS
            ring(self.queue)
        # It can be one of ours whose lease ran out, while this process was frozen or cut off from the database.
        self._cut_off([job.run_id for job in jobs], Reason.LOST)
        ready: list[tuple[_Running, Connection]] = []
        addresses = {job.endpoint.pk: _address_of(job) for job in jobs}
        for job in jobs:
            running = self._running[job.run_id] = _Running(job)
            address = addresses[job.endpoint.pk]
            if isinstance(address, EngineError):
                self._finish(running, _refused(job, address))
            else:
                ready.append((running, address))
        if ready:
            self._loop.call_soon_threadsafe(self._begin, ready)

    def _worth_waiting(self) -> bool:
        due = next_due(self.queue)
        return due is not None and due.total_seconds() < LINGER_SECONDS

    def _record_outcomes(self) -> None:
        outcomes: list[Outcome] = []
        while self._outcomes:
            outcomes.append(self._outcomes.popleft())
        if not outcomes:
            return
        try:
            ended = _record_all(outcomes)
        except (OperationalError, InterfaceError):
            self._outcomes.extendleft(reversed(outcomes))
            raise
        recorded = set(ended)
        for outcome in outcomes:
            self._let_go(outcome.run_id, outcome.token)
            if outcome.status is not None and outcome.run_id not in recorded:
                logger.warning("Run %s was taken over, or has ended; its result here was dropped", outcome.run_id)
        self._tell_ended(ended, [outcome.run_id for outcome in outcomes if outcome.status is None])

    def _tell_ended(self, ended: Sequence[uuid.UUID], waiting: Sequence[uuid.UUID] = ()) -> None:
        if ended or waiting:
            self._loop.call_soon_threadsafe(self._tell, ended, waiting)

    def _tell(self, ended: Sequence[uuid.UUID], waiting: Sequence[uuid.UUID]) -> None:
        for run_id in waiting:
            self._publisher.forget(run_id)
        self._publisher.ended(ended)

    def _look_after_leases(self, now: float) -> None:
        renew = now >= self._due["renew"]
        held = {run_id: running.job.token for run_id, running in list(self._running.items()) if not running.done}
        self._due["look"] = now + CANCEL_SECONDS
        if renew:
            self._due["renew"] = now + settings.RUN_LEASE_SECONDS / 3
        if held:
            leases = look_after(held, renew=renew)
            self._cut_off(leases.cancelled, Reason.CANCELLED)
            self._cut_off(leases.lost, Reason.LOST)

    def _forget_lost(self) -> None:
        while self._lost:
            job = self._lost.popleft().job
            logger.warning("Run %s was taken over, or has ended; its call here was cut off", job.run_id)
            self._let_go(job.run_id, job.token)

    def _let_go(self, run_id: uuid.UUID, token: uuid.UUID) -> None:
        running = self._running.get(run_id)
        if running is not None and running.job.token == token:
            del self._running[run_id]

    def _reconnect(self, failures: int, error: Exception | None) -> int:
        with contextlib.suppress(Exception):
            connection.close()
        if error is not None and failures == 0:
            logger.warning("The %s executor lost the database, and tries again: %s", self.queue, error)
        time.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
        self._wake.set()
        return failures + 1


def _address_of(job: Job) -> Connection | EngineError:
    try:
        return connection_for(job.endpoint)
    except EngineError as error:
        return error


def _cancel(running: _Running) -> None:
    if running.task is not None:
        running.task.cancel()


def _record_all(outcomes: Sequence[Outcome]) -> list[uuid.UUID]:
    """Record in bulk; if the database refuses something in it, one by one, and what is refused as a failure of ours."""
    try:
        return record(outcomes)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError:
        logger.exception("A bulk of %d results was refused; recording them one by one", len(outcomes))
    ended: list[uuid.UUID] = []
    for outcome in outcomes:
        try:
            ended += record([outcome])
        except (OperationalError, InterfaceError):
            raise
        except DatabaseError as error:
            ended += record([_unrecordable(outcome, error)])
    return ended


def _unrecordable(outcome: Outcome, refusal: DatabaseError) -> Outcome:
    error = {
        "kind": "malformed_response",
        "message": f"The result could not be stored: {type(refusal).__name__}.",
        "permanent": True,
    }
    lease = (outcome.run_id, outcome.token, outcome.attempt)
    times = (outcome.started_at, outcome.ended_at)
    return Outcome(*lease, Status.FAILED, Attempt.Status.FAILED, *times, error=error)


def _given_back(job: Job, outcome: Outcome) -> Outcome:
    """A worker that stops gives its runs back; one that may not be called twice ends instead."""
    error = {"kind": "worker_stopped", "message": "The worker was stopped during the call.", "permanent": False}
    status = None if job.retry_safe else Status.FAILED
    return replace(outcome, status=status, output=outcome.output if status else None, finish_reason="", error=error)


def _refused(job: Job, error: EngineError) -> Outcome:
    refusal = {"kind": str(error.kind), "message": error.message, "permanent": True}
    return replace(_never_called(job), status=Status.FAILED, attempt_status=Attempt.Status.FAILED, error=refusal)


def _never_called(job: Job) -> Outcome:
    now = dt.datetime.now(dt.UTC)
    return Outcome(
        run_id=job.run_id,
        token=job.token,
        attempt=job.attempt,
        status=Status.CANCELLED,
        attempt_status=Attempt.Status.CANCELLED,
        started_at=now,
        ended_at=now,
        cost_usd=Decimal(0),
        error=CANCELLED_ERROR,
    )
