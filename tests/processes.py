"""Real Celery workers and a real beat for tests, on this pytest worker's own database and Valkey.

`api_worker` and `local_worker` are fixtures of a module: starting costs two seconds. A test that kills starts its own,
`with CeleryWorker("api", RUN_LEASE_SECONDS="2") as worker:`. What such a process does is seen only by tests that
commit: mark them `django_db(transaction=True)`. The log of a process is printed when it stops, so that pytest shows it
beside a failure.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from promptops.management.services.children import beat_command, worker_command
from promptops.management.services.processes import die_with_parent, is_alive, tail, wait_until

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 25.0
LOG_LINES = 60

_numbers = itertools.count(1)


class ProcessUnderTest:
    """A process of ours in a session of its own, with this test's environment and a log file."""

    def __init__(self, name: str, command: list[str], **environment: str) -> None:
        self.name = name
        self.command = command
        # Set by `tests.conftest`: the data directory, this worker's database and Valkey.
        self.environment = {
            **os.environ,
            "ALLOWED_PROVIDER_HOSTS": "127.0.0.1",
            "CELERY_SKIP_CHECKS": "1",
            **environment,
        }
        self.directory = Path(os.environ["DATA_DIR"]) / "processes"
        self.directory.mkdir(exist_ok=True)
        self.log = self.directory / f"{name}-{os.getpid()}-{next(_numbers)}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        """Start it, and wait until it is ready."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        if not wait_until(lambda: not self.running or self.is_ready(), START_SECONDS, 0.05) or not self.running:
            self.kill()
            raise AssertionError(f"{self.name} did not start:\n{tail(self.log, LOG_LINES)}")
        return self

    def is_ready(self) -> bool:
        return True

    def stop(self) -> int:
        """Ask it to end as a supervisor does, wait, and return its exit status."""
        self.send(signal.SIGTERM)
        assert self.process is not None
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop within {STOP_SECONDS:.0f} s") from None

    def kill(self) -> None:
        """SIGKILL for it and everything it started, like a machine that loses its power."""
        self._signal_group(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(STOP_SECONDS)

    def freeze(self) -> None:
        """SIGSTOP for it and everything it started."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_group(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """A signal for its main process alone."""
        if self.running:
            os.kill(self.pid, number)

    def children(self) -> list[int]:
        """The processes that it forked and that are alive, oldest first."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [pid for pid in map(int, listed) if is_alive(pid)]

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        sys.stdout.write(f"--- {self.name} ({self.log})\n{tail(self.log, LOG_LINES)}\n")

    def _signal_group(self, number: signal.Signals) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return


class CeleryWorker(ProcessUnderTest):
    """A worker for the runs of one queue: `api` (two prefork children, also the queue `default`) or `local` (threads).

    Settings that are read from the environment can be given by name. Ready when it takes messages and its processes
    are in the table of workers.
    """

    def __init__(self, queue: str, **environment: str) -> None:
        super().__init__(f"worker-{queue}", worker_command(queue), **environment)
        self.queue = queue

    def is_ready(self) -> bool:
        return " ready." in self.log_text() and bool(self.rows())

    def rows(self) -> list[Any]:
        """What the table of workers says of its processes."""
        from promptops.runs.models import Worker

        pids = {self.pid, *self.children()}
        rows = Worker.objects.filter(queue=self.queue)
        return [row for row in rows if int(row.name.rpartition(":")[2]) in pids]


class CeleryBeat(ProcessUnderTest):
    """The clock that rings for lost runs and tidies."""

    def __init__(self, **environment: str) -> None:
        super().__init__("beat", [], **environment)
        self.schedule = self.directory / f"beat-schedule-{os.getpid()}-{next(_numbers)}"
        self.command = beat_command(self.schedule)

    def is_ready(self) -> bool:
        return any(self.directory.glob(self.schedule.name + "*"))


def wait_for(condition: Any, seconds: float = 20.0, what: str = "") -> Any:
    """Ask every 50 ms until the answer is true, and return it; fail when the time is over.

    Inside a test with database access: each question sees what other processes have committed since.
    """
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what or 'what was waited for'} did not happen within {seconds:.0f} s")
        time.sleep(0.05)
    return answer


def wait_until_ended(*runs: Any, seconds: float = 30.0) -> list[Any]:
    """Wait until these runs (or ids of runs) have ended; return them as they are then, in the same order."""
    from promptops.runs.models import Run, Status

    ids = [getattr(run, "pk", run) for run in runs]
    waiting = (Status.QUEUED, Status.RUNNING)

    def left() -> int:
        return Run.objects.filter(pk__in=ids, status__in=waiting).count()

    end = time.monotonic() + seconds
    while left():
        if time.monotonic() > end:
            states = Run.objects.filter(pk__in=ids, status__in=waiting).values_list("status", "worker", "attempt_count")
            raise AssertionError(f"{len(states)} of {len(ids)} runs have not ended: {list(states[:10])}")
        time.sleep(0.05)
    found = Run.objects.in_bulk(ids)
    return [found[run_id] for run_id in ids]


@pytest.fixture(scope="module")
def api_worker(django_db_setup: None, django_db_blocker: Any) -> Iterator[CeleryWorker]:
    """One worker for the queues `api` and `default`, for all tests of the module."""
    yield from _running(CeleryWorker("api"), django_db_blocker)


@pytest.fixture(scope="module")
def local_worker(embedded_model: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[CeleryWorker]:
    """One worker for the queue `local` and the embedded model, for all tests of the module."""
    yield from _running(CeleryWorker("local"), django_db_blocker)


@pytest.fixture(scope="module")
def beat(django_db_setup: None) -> Iterator[CeleryBeat]:
    """The beat, for all tests of the module."""
    with CeleryBeat() as process:
        yield process


def _running(worker: CeleryWorker, django_db_blocker: Any) -> Iterator[CeleryWorker]:
    with django_db_blocker.unblock():
        worker.start()
    try:
        yield worker
    finally:
        with django_db_blocker.unblock():
            worker.__exit__(None, None, None)
