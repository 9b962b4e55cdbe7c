"""Starts the processes of an installation, watches them, starts the dead again, and stops all in order.

One thread, no signals to itself: it looks at its children four times a second, which costs nothing and hides nothing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from promptops.core.installation import InstallationError
from promptops.management.services.processes import die_with_parent, wait_until

LOOK_SECONDS = 0.25
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0  # seconds before a dead child is started again; doubled each time
CALM_SECONDS = 60.0  # a child that lived this long starts again with the first delay
LOG_BYTES = 10 * 1024 * 1024
LOGS_KEPT = 3
ROTATE_SECONDS = 60.0


@dataclass
class Child:
    """One supervised process. `spawn` returns None when the service runs already and is not ours to watch."""

    name: str
    spawn: Callable[[], subprocess.Popen[bytes] | None]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    once: bool = False  # a task that ends by itself; started again only when it failed
    done: str = ""  # what the person at the terminal hears when it has ended well
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    due: float | None = None  # when to start again


@dataclass
class Supervisor:
    """`say` prints a line to the person at the terminal."""

    say: Callable[[str], None]
    logs: Path
    children: list[Child] = field(default_factory=list)
    stopping: bool = False
    hurry: bool = False  # a second Ctrl-C: kill at once
    _rotated: float = 0.0

    def listen(self) -> None:
        """Ctrl-C, SIGTERM and a closed terminal all mean: stop in order."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked_to_stop)

    def _asked_to_stop(self, number: int, frame: object) -> None:
        self.hurry = self.stopping
        self.stopping = True

    def start(self, child: Child) -> None:
        """Start a child and watch it from now on."""
        if child not in self.children:
            self.children.append(child)
        child.due, child.started = None, time.monotonic()
        child.process = child.spawn()

    def watch(self, until: Callable[[], bool]) -> None:
        """Keep everything alive until `until` holds or somebody asks to stop."""
        while not self.stopping and not until():
            for child in self.children:
                self._look_after(child)
            if time.monotonic() - self._rotated > ROTATE_SECONDS:
                self._rotated = time.monotonic()
                rotate_logs(self.logs)
            time.sleep(LOOK_SECONDS)

    def _look_after(self, child: Child) -> None:
        if child.due is not None:
            if time.monotonic() >= child.due:
                self._start_again(child)
            return
        if child.process is None:
            return
        code = child.process.poll()
        if code is None:
            return
        if child.once and code == 0:
            child.process = None
            if child.done:
                self.say(child.done)
            return
        _kill_group(child.process)  # what it started must not go on beside its successor
        if time.monotonic() - child.started > CALM_SECONDS:
            child.delay = FIRST_DELAY
        self._plan(child, describe_exit(code))

    def _plan(self, child: Child, why: str) -> None:
        child.due = time.monotonic() + child.delay
        self.say(f"{child.name} {why}; starting it again in {child.delay:.0f} s (see {self.logs / child.name}.log)")
        child.delay = min(child.delay * 2, LONGEST_DELAY)

    def _start_again(self, child: Child) -> None:
        try:
            self.start(child)
        except (InstallationError, OSError) as error:
            self._plan(child, f"did not start: {error}")
        else:
            self.say(f"{child.name} was started again")

    def stop_all(self) -> None:
        """In the reverse order of starting: first who uses a service, then the service."""
        for child in reversed(self.children):
            if child.process is not None and child.process.poll() is None:
                self._stop(child, child.process)
            elif child.process is not None:
                _kill_group(child.process)

    def _stop(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        if not self.hurry:
            process.send_signal(child.stop_signal)
            wait_until(lambda: process.poll() is not None or self.hurry, child.stop_seconds)
        if process.poll() is None and not self.hurry:
            self.say(f"{child.name} did not stop within {child.stop_seconds:.0f} s: killed")
        _kill_group(process)
        process.wait()


def python_child(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A process of ours in a session of its own, so that Ctrl-C reaches the supervisor alone."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )


def describe_exit(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"ended (status {code})"
    try:
        return f"was killed ({signal.Signals(-code).name})"
    except ValueError:
        return f"was killed (signal {-code})"


def rotate_logs(logs: Path) -> None:
    """Copy and truncate: every writer appends, so none has to be told."""
    for log in logs.glob("*.log"):
        if log.stat().st_size < LOG_BYTES:
            continue
        for number in range(LOGS_KEPT - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                log.with_suffix(f".log.{number}").rename(log.with_suffix(f".log.{number + 1}"))
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Every child leads a session, so its group holds whatever it left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
