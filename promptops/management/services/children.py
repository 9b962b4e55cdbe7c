"""The processes of an embedded installation: what each is started with, in the order of starting."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from promptops.core.installation import Installation
from promptops.management.services.postgres import PostgresService
from promptops.management.services.supervisor import Child, python_child
from promptops.management.services.valkey import ValkeyService

# A doorbell each; how much is in flight is decided by RUN_SLOTS, not by these.
API_CHILDREN = 2
LOCAL_THREADS = 4
WORKER_STOP_SECONDS = 20.0  # afterwards the lease of an unfinished run expires and another worker takes it


@dataclass(frozen=True)
class Children:
    """Makes the children for one data directory and port."""

    installation: Installation
    port: int

    def services(self, *, database: bool, broker: bool) -> list[Child]:
        """The private servers; each only where no outside one is configured."""
        children = []
        if broker:
            valkey = ValkeyService(self.installation)
            children.append(Child("valkey", lambda: valkey.start(dies_with_parent=True)))
        if database:
            postgres = PostgresService(self.installation)
            start = Child("postgres", lambda: postgres.start(dies_with_parent=True), signal.SIGINT, stop_seconds=30.0)
            children.append(start)
        return children

    def application(self) -> list[Child]:
        """Web first: it is what a person waits for."""
        return [
            self._python("web", web_command(self.port)),
            self._python("worker-api", worker_command("api"), WORKER_STOP_SECONDS),
            self._python("worker-local", worker_command("local"), WORKER_STOP_SECONDS),
        ]

    def late(self) -> list[Child]:
        """What nobody waits for: started once a person can work."""
        return [self._python("beat", beat_command(self.installation.data_dir / "beat-schedule"))]

    def model(self) -> Child:
        """Converts the embedded model, and ends."""
        model = self._python("model", [sys.executable, "manage.py", "prepare_model"])
        model.once, model.done = True, "The embedded model is ready."
        return model

    def _python(self, name: str, command: list[str], stop_seconds: float = 10.0) -> Child:
        log = self.installation.logs / f"{name}.log"

        def spawn() -> subprocess.Popen[bytes]:
            return python_child(command, log, self._environment())

        return Child(name, spawn, stop_seconds=stop_seconds)

    def _environment(self) -> dict[str, str]:
        return {
            "DATA_DIR": str(self.installation.data_dir),
            "PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "promptops.settings",
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),  # many threads, little memory
        }


def web_command(port: int, *, host: str = "127.0.0.1", processes: int = 1) -> list[str]:
    """The web server; on the loopback address unless told otherwise."""
    address = ["--host", host, "--port", str(port)]
    options = ["--interface", "asgi", "--no-ws", "--workers", str(processes), "--respawn-failed-workers"]
    options += ["--workers-kill-timeout", "9", "--log-level", "warning"]
    return [sys.executable, "-m", "granian", *address, *options, "promptops.asgi:application"]


def worker_command(queue: str) -> list[str]:
    """A Celery worker for the runs of one queue; either also does what the beat asks for."""
    queues, pool, concurrency = {
        "api": ("api,default", "prefork", API_CHILDREN),
        "local": ("local,default", "threads", LOCAL_THREADS),
    }[queue]
    options = ["--queues", queues, "--hostname", f"{queue}@%h", "--pool", pool, "--concurrency", str(concurrency)]
    # Each of the three costs a second of start-up and tells other workers what the database knows better.
    quiet = ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    return [sys.executable, "-m", "celery", "-A", "promptops", "worker", "--loglevel", "info", *options, *quiet]


def beat_command(schedule: Path) -> list[str]:
    """The clock; `schedule` is the file in which it remembers what it did when."""
    options = ["--loglevel", "info", "--schedule", str(schedule), "--pidfile", ""]
    return [sys.executable, "-m", "celery", "-A", "promptops", "beat", *options]
