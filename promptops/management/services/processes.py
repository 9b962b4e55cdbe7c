"""Small tools for the private servers: which system user they run as, who is alive, dying with the parent."""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from promptops.core.installation import InstallationError

PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class SystemUser:
    name: str
    uid: int
    gid: int

    def can_enter(self, directory: Path) -> bool:
        return self.can_run(["/bin/sh", "-c", 'test -x "$1"', "sh", str(directory)])

    def can_run(self, command: list[str]) -> bool:
        """Whether `command` ends well as this user: asking the kernel by being that user covers every reason."""
        try:
            done = subprocess.run(
                command, cwd="/", user=self.uid, group=self.gid, extra_groups=[], capture_output=True, check=False
            )
        except PermissionError:
            return False
        return done.returncode == 0


def unprivileged_user() -> SystemUser | None:
    """The user that PostgreSQL runs as when we are root (it refuses root); None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return SystemUser(name, entry.pw_uid, entry.pw_gid)
    raise InstallationError(
        "PostgreSQL does not run as root, and neither user `postgres` nor `nobody` exists: add one."
    )


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn`: the kernel sends `death_signal` to the child when its parent is gone, however it went (Linux)."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: nothing may be imported or allocated after it
    number = int(death_signal)
    return lambda: prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def is_alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] not in ("Z", "X")
    return True


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Ask until `condition` holds or the time is over; the last answer."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def tail(path: Path, lines: int = 12) -> str:
    """The end of a log file, for an error message."""
    with contextlib.suppress(OSError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return ""
