"""`process`: one process of an installation in the foreground, for containers and service managers. `up` runs them all.

manage.py process web --host 0.0.0.0        manage.py process web --check
"""

import contextlib
import datetime as dt
import http.client
import os
import socket
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from promptops.management.services.children import beat_command, web_command, worker_command
from promptops.runs.liveness import ALIVE
from promptops.runs.models import Worker

BEAT_SILENCE = 600.0  # seconds; it writes its file every three minutes
WORKERS = {"worker-api": "api", "worker-local": "local"}


class Command(BaseCommand):
    help = "Run one process of an installation in the foreground, or ask with --check whether it is well."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=["web", *WORKERS, "beat"])
        parser.add_argument("--check", action="store_true", help="End with 0 if this machine's is well, else with 1.")
        parser.add_argument("--host", default="127.0.0.1", help="The address that the web server listens on.")
        parser.add_argument("--port", type=int, help="Its port (default: PORT, or 8000).")
        parser.add_argument(
            "--processes", type=int, default=None, help="How many of the web server (default: WEB_PROCESSES, or 1)."
        )
        parser.add_argument("--data-dir", help="The data directory (default: DATA_DIR, or var).")

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["name"]
        port: int = options["port"] or int(os.environ.get("PORT", "").strip() or 8000)
        if options["check"]:
            problem = _web_problem(port) if name == "web" else _other_problem(name)
            if problem:
                raise CommandError(problem)
            self.stdout.write("well")
            return
        if name == "web":
            processes = options["processes"] or int(os.environ.get("WEB_PROCESSES", "").strip() or 1)
            command = web_command(port, host=options["host"], processes=processes)
        elif name == "beat":
            _schedule().parent.mkdir(parents=True, exist_ok=True)
            command = beat_command(_schedule())
        else:
            command = worker_command(WORKERS[name])
        # In the place of this process: signals reach it, and its end is the container's.
        os.execv(command[0], command)  # noqa: S606


def _web_problem(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        return "" if status == 200 else f"The web server answers {status}."
    except (OSError, http.client.HTTPException) as error:
        return f"The web server does not answer: {error}"
    finally:
        connection.close()


def _other_problem(name: str) -> str:
    if name == "beat":
        with contextlib.suppress(OSError):
            written = max(path.stat().st_mtime for path in _schedule().parent.glob(f"{_schedule().name}*"))
            return "" if time.time() - written < BEAT_SILENCE else "The beat has not written for ten minutes."
        return "The beat has not written yet."
    mine = Worker.objects.filter(queue=WORKERS[name], name__startswith=f"{WORKERS[name]}@{socket.gethostname()[:80]}:")
    silence: dt.timedelta = ALIVE
    if mine.filter(seen_at__gt=timezone.now() - silence).exists():
        return ""
    return f"This machine's worker has said nothing for {silence.total_seconds():.0f} s."


def _schedule() -> Path:
    return Path(settings.DATA_DIR) / "beat-schedule"
