"""The one gate that every template goes through: a few render processes, shared by all threads of this process.

A template is a program, and MiniJinja's own limits do not stop all of its bombs (`'%0500000000d'|format(1)` allocates
half a gigabyte in one step). So templates run in a child process with limits on memory and time; when one goes over
them the process dies, its job gets a clear error, and the jobs behind it go to a fresh one.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from .process import Job, ProcessEndedError, RenderProcess
from .sandbox.errors import UNAVAILABLE, TemplateError

# Processes at most, each about 20 MB. A second one is started only while the first is busy, so that one slow template
# doesn't stop the others.
PROCESSES = 2
# A render takes well under a millisecond, so whoever waits longer than this waits behind a slow one.
PATIENCE_SECONDS = 0.05
# How long to wait for a process while all are busy, before saying so.
QUEUE_SECONDS = 15.0
# Jobs sent to a process before it is given back, so that a large batch lets others in between.
BATCH = 200

Answer = dict[str, Any] | TemplateError


class RenderGate:
    """Runs jobs in render processes. Safe to use from several threads, and after a fork."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._limit = processes
        self._condition = threading.Condition()
        self._idle: list[RenderProcess] = []
        self._live: set[RenderProcess] = set()
        self._count = 0
        _gates.add(self)

    def run(self, jobs: Sequence[Job]) -> list[Answer]:
        """The answers in order: what a process answered, or the `TemplateError` of a job that brought its process
        down or that found none in time.
        """
        answers: list[Answer] = []
        while len(answers) < len(jobs):
            try:
                self._run_some(jobs, answers, min(len(jobs), len(answers) + BATCH))
            except TemplateError as error:
                answers += [error] * (len(jobs) - len(answers))
        return answers

    def close(self) -> None:
        """Ends the processes that are idle. The gate can still be used: it starts new ones."""
        with self._condition:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()
            self._give_up(process)

    def _run_some(self, jobs: Sequence[Job], answers: list[Answer], end: int) -> None:
        blameless_ends = 0
        while len(answers) < end:
            process = self._take()
            before = len(answers)
            try:
                for answer in process.run(jobs[before:end]):
                    answers.append(answer)
            except ProcessEndedError as ended:
                self._give_up(process)
                blameless_ends = blameless_ends + 1 if len(answers) == before else 1
                if ended.error is not None:
                    answers.append(ended.error)
                elif blameless_ends > 2:
                    # Killed from outside (the system is out of memory), again and again.
                    answers.append(TemplateError(UNAVAILABLE, "the render process was stopped from outside"))
            except BaseException:
                # Half an answer may still be on its way.
                process.kill()
                self._give_up(process)
                raise
            else:
                self._put_back(process)

    def _take(self) -> RenderProcess:
        started = time.monotonic()
        with self._condition:
            while True:
                while self._idle:
                    process = self._idle.pop()
                    if process.is_alive():
                        return process
                    # Recycled itself after its last job.
                    process.close()
                    self._live.discard(process)
                    self._count -= 1
                waited = time.monotonic() - started
                if self._count == 0 or (self._count < self._limit and waited >= PATIENCE_SECONDS):
                    self._count += 1
                    break
                if waited >= QUEUE_SECONDS:
                    raise TemplateError(UNAVAILABLE, "too many templates are being rendered; try again")
                self._condition.wait(PATIENCE_SECONDS if self._count < self._limit else QUEUE_SECONDS - waited)
        try:
            process = RenderProcess()
        except BaseException:
            self._give_up(None)
            raise
        self._live.add(process)
        return process

    def _put_back(self, process: RenderProcess) -> None:
        with self._condition:
            self._idle.append(process)
            self._condition.notify()

    def _give_up(self, process: RenderProcess | None) -> None:
        with self._condition:
            if process is not None:
                self._live.discard(process)
            self._count -= 1
            self._condition.notify()

    def _after_fork(self) -> None:
        # The processes are our parent's, and a thread that no longer exists may hold the lock.
        self._condition = threading.Condition()
        for process in self._live:
            process.forget()
        self._live, self._idle, self._count = set(), [], 0


_gates: weakref.WeakSet[RenderGate] = weakref.WeakSet()


def _after_fork() -> None:
    for gate in _gates:
        gate._after_fork()


def _close_all() -> None:
    for gate in _gates:
        gate.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close_all)

# Starts nothing until it is used.
GATE = RenderGate()
