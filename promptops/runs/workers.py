"""The life of a worker process: it says that it is there, holds its executors, and stops in order.

A pipe made before the children fork tells them of the end: the parent closes its end when it is asked to stop, and the
kernel does when the parent is killed. (A prefork child hears nothing of the parent's SIGTERM by itself.)
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from typing import Any

from celery import current_app, signals
from django.db import connection
from django.utils import timezone
from kombu.transport.redis import Channel

from promptops.engines.local_model import activity
from promptops.runs.doorbell import QUEUES
from promptops.runs.execution import Executor
from promptops.runs.models import Worker

BEAT_SECONDS = 5.0
LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Process:
    """This worker process: one executor a queue, one heartbeat."""

    def __init__(self) -> None:
        self._executors: dict[str, Executor] = {}
        self._lock = threading.Lock()
        self._pipe: tuple[int, int] | None = None
        self._started_at = timezone.now()
        self._said = ""
        self._stopped = threading.Event()
        self._beating: threading.Thread | None = None

    def executor(self, queue: str) -> Executor:
        """The executor of a queue, made when it is first asked for: so always behind the fork."""
        with self._lock:
            if queue not in self._executors:
                self._executors[queue] = Executor(queue, self.name(queue))
            return self._executors[queue]

    def name(self, queue: str) -> str:
        return f"{queue}@{socket.gethostname()[:80]}:{os.getpid()}"

    def make_pipe(self) -> None:
        self._pipe = os.pipe()

    def close_pipe(self) -> None:
        """In the parent: tell everybody to stop."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.close(self._pipe[1])

    def begin(self, *, forked: bool) -> None:
        """Start the heartbeat of this process."""
        if forked:
            self.close_pipe()  # the child's copy: with it open, the parent's end would never be seen
        self._beating = threading.Thread(target=self._beat_for_ever, name="runs-heartbeat", daemon=True)
        self._beating.start()

    def end(self) -> None:
        """Stop the executors (their calls get a few seconds) and take the process off the list of workers."""
        self._stopped.set()
        with self._lock:
            executors = list(self._executors.values())
        for executor in executors:
            executor.stop()
        with contextlib.suppress(Exception):
            Worker.objects.filter(name__in=[self.name(queue) for queue in QUEUES]).delete()

    def _beat_for_ever(self) -> None:
        queues = [queue for queue in QUEUES if queue in current_app.amqp.queues.consume_from]
        while not self._stopped.is_set():
            try:
                self._beat(queues)
            except Exception as error:
                logger.warning("The heartbeat could not be written: %s", error)
                with contextlib.suppress(Exception):
                    connection.close()
            if self._wait(BEAT_SECONDS):
                self.end()
        with contextlib.suppress(Exception):
            connection.close()

    def _wait(self, seconds: float) -> bool:
        """Wait; return at once, and True, when the parent wants an end or is gone. News of a model end the wait too."""
        until = time.monotonic() + seconds
        reader = self._pipe[0] if self._pipe else None
        while (left := until - time.monotonic()) > 0 and not self._stopped.is_set() and activity() == self._said:
            if reader is None:
                self._stopped.wait(min(left, LOOK_SECONDS))
            elif select.select([reader], [], [], min(left, LOOK_SECONDS))[0]:
                return True
        return False

    def _beat(self, queues: list[str]) -> None:
        now = timezone.now()
        self._said = activity()
        rows = [
            Worker(
                name=self.name(queue),
                queue=queue,
                started_at=self._started_at,
                seen_at=now,
                running=self._executors[queue].running if queue in self._executors else 0,
                note=self._said if queue == "local" else "",
            )
            for queue in queues
        ]
        Worker.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["name"], update_fields=["seen_at", "running", "note"]
        )


PROCESS = Process()


@signals.worker_init.connect
def _before_fork(**_: Any) -> None:
    PROCESS.make_pipe()
    # A lost broker gets nothing back: a bell that was taken and not heard is rung again by the reconciler. Kombu's
    # attempt to restore such messages over the lost connection would end the worker, with all its calls.
    Channel.do_restore = False


@signals.worker_process_init.connect
def _after_fork(**_: Any) -> None:
    PROCESS.begin(forked=True)


@signals.worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    if not type(sender.pool).__module__.endswith(".prefork"):
        PROCESS.begin(forked=False)


@signals.worker_shutting_down.connect
def _shutting_down(**_: Any) -> None:
    PROCESS.close_pipe()


@signals.worker_process_shutdown.connect
def _child_ends(**_: Any) -> None:
    PROCESS.end()


@signals.worker_shutdown.connect
def _worker_ends(**_: Any) -> None:
    PROCESS.end()
