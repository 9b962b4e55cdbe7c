"""One render process, seen from its parent: start it, send it jobs, notice how it ends."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .sandbox.errors import MEMORY_LIMIT, STEP_LIMIT, TIME_LIMIT, UNAVAILABLE, TemplateError
from .sandbox.limits import MAX_OUTPUT_BYTES, WALL_SECONDS

# Starting takes some 70 ms; this is for a machine that swaps.
START_SECONDS = 20.0
_STOP_SECONDS = 1.0
_CHUNK = 64 * 1024
# A text of control characters grows sixfold as JSON.
_MAX_FRAME_BYTES = 6 * MAX_OUTPUT_BYTES + _CHUNK

_BOOTSTRAP = "import sys; sys.path += sys.argv[1:]; from sandbox.child import main; main()"

_TOO_LONG = TIME_LIMIT, "the template takes too long to render"
_ENDINGS = {
    signal.SIGPROF: _TOO_LONG,
    # The Rust runtime aborts when memory is refused.
    signal.SIGABRT: (MEMORY_LIMIT, "the template needs too much memory"),
    signal.SIGSEGV: (STEP_LIMIT, "the template is nested too deeply"),
    signal.SIGBUS: (MEMORY_LIMIT, "the template needs too much memory"),
}


class ProcessEndedError(Exception):
    """The process is gone. `error` says what the job that it was working on did; None when the job is not to blame."""

    def __init__(self, error: TemplateError | None) -> None:
        super().__init__(str(error))
        self.error = error


class Job:
    """What the process is asked to do: render, or only check, some sources with one set of variables."""

    __slots__ = ("action", "sources", "syntax", "variables")

    def __init__(self, action: str, syntax: str, sources: Sequence[str], variables: dict[str, Any]) -> None:
        self.action, self.syntax, self.sources, self.variables = action, syntax, sources, variables

    def frame(self) -> bytes:
        body = json.dumps(
            {"action": self.action, "syntax": self.syntax, "sources": self.sources, "variables": self.variables},
            ensure_ascii=False,
        ).encode()
        return len(body).to_bytes(4, "big") + body


class RenderProcess:
    """Starts at once; raises `TemplateError` with code `unavailable` when it cannot."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, *_import_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # Our secrets are in the environment. One arena, or glibc reserves 64 MB of address space for each.
            env={"MALLOC_ARENA_MAX": "1"},
            # Ctrl-C reaches the whole foreground group; the process ends when its input does.
            start_new_session=True,
        )
        self._pipes = [pipe for pipe in (self._popen.stdin, self._popen.stdout) if pipe is not None]
        self._input, self._output = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self._input, self._output):
            os.set_blocking(descriptor, False)
        try:
            self._receive(time.monotonic() + START_SECONDS)
        except ProcessEndedError:
            self.kill()
            raise TemplateError(UNAVAILABLE, "the render process does not start") from None

    def run(self, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
        """Yields the answers in order, as they come.

        Raises `ProcessEndedError` at the job that has none; the process is then stopped and reaped.
        """
        frames = (job.frame() for job in jobs)
        unsent = memoryview(b"")
        answered, sent_all = 0, False
        deadline = time.monotonic() + WALL_SECONDS
        while answered < len(jobs):
            if not unsent and not sent_all:
                frame = next(frames, None)
                sent_all = frame is None
                unsent = memoryview(frame or b"")
            unsent = self._exchange(unsent, deadline)
            while (answer := self._next_answer()) is not None:
                answered += 1
                deadline = time.monotonic() + WALL_SECONDS
                yield answer

    def is_alive(self) -> bool:
        return self._popen.poll() is None

    def close(self) -> None:
        """Ends the process in order: its input ends, so it does; one that is busy is killed."""
        self._close_pipes()
        try:
            self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()
        self._close_pipes()

    def forget(self) -> None:
        """After a fork: the process is our parent's. Drop our ends of its pipes, or it would outlive its owner."""
        self._close_pipes()
        # Or the destructor of Popen would warn, and wait for a process that isn't our child.
        self._popen.returncode = 0

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.close()

    def _exchange(self, unsent: memoryview, deadline: float) -> memoryview:
        """Sends and receives what goes without waiting, or waits for either. Both at once: a process whose answers
        nobody takes stops reading."""
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        if unsent:
            poll.register(self._input, select.POLLOUT)
        events = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not events:
            self.kill()
            raise ProcessEndedError(TemplateError(*_TOO_LONG))
        for descriptor, _ in events:
            if descriptor == self._output:
                self._read()
            else:
                try:
                    unsent = unsent[os.write(self._input, unsent[:_CHUNK]) :]
                except BlockingIOError:
                    pass
                except BrokenPipeError:
                    # Answers that it sent before it ended are still in the other pipe; its end tells.
                    unsent = memoryview(b"")
        return unsent

    def _read(self) -> None:
        try:
            received = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return
        if not received:
            raise self._ended()
        self._received += received

    def _next_answer(self) -> dict[str, Any] | None:
        if len(self._received) < 4:
            return None
        size = int.from_bytes(self._received[:4], "big")
        if size > _MAX_FRAME_BYTES:
            self.kill()
            raise ProcessEndedError(TemplateError(UNAVAILABLE, "the render process answers nonsense"))
        if len(self._received) < 4 + size:
            return None
        answer: dict[str, Any] = json.loads(self._received[4 : 4 + size])
        del self._received[: 4 + size]
        return answer

    def _receive(self, deadline: float) -> dict[str, Any]:
        while (answer := self._next_answer()) is None:
            self._exchange(memoryview(b""), deadline)
        return answer

    def _ended(self) -> ProcessEndedError:
        """Why the output ended. Waits for the process, so that it leaves no zombie."""
        try:
            status = self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            status = 0
        self._close_pipes()
        if status < 0 and (ending := _ENDINGS.get(signal.Signals(-status))):
            return ProcessEndedError(TemplateError(*ending))
        return ProcessEndedError(None)


def _import_path() -> tuple[str, str]:
    """The folders of our `sandbox` package and of MiniJinja, found without importing either."""
    spec = importlib.util.find_spec("minijinja")
    if spec is None or spec.origin is None:
        raise TemplateError(UNAVAILABLE, "minijinja is not installed")
    return str(Path(__file__).parent), str(Path(spec.origin).parent.parent)
