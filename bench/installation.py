"""An installation that lives as long as a measurement: its own PostgreSQL and Valkey in a temporary directory."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from promptops.core.installation import Installation

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 20.0
# What somebody has set for their own installation is not meant for this one.
FOREIGN = ("DATABASE_URL", "OWNER_DATABASE_URL", "VALKEY_URL", "SECRET_KEY", "ENCRYPTION_KEY", "PUBLIC_URL", "DEBUG")


@contextlib.contextmanager
def temporary(*, durable: bool, **environment: str) -> Iterator[Installation]:
    """Start the services, migrate, and set Django up; ``environment`` is for the settings.

    ``durable`` as in production: everything is on disk before it counts as written.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # asked to end, it leaves nothing behind either
    directory = Path(tempfile.mkdtemp(prefix="promptops-bench-"))
    directory.chmod(0o711)
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="promptops.settings",
        DATA_DIR=str(directory),
        STATIC_MANIFEST="0",
        LOG_LEVEL="WARNING",
        HF_HUB_OFFLINE="1",
        **environment,
    )
    from promptops.core.installation import Installation
    from promptops.management.services.postgres import PostgresService
    from promptops.management.services.valkey import ValkeyService

    installation = Installation.at(directory)
    postgres, valkey = PostgresService(installation, durable=durable), ValkeyService(installation, durable=durable)
    try:
        valkey.start(dies_with_parent=True)
        postgres.start(dies_with_parent=True)
        _migrate()
        yield installation
    finally:
        with contextlib.suppress(Exception):
            valkey.stop(immediately=True)
        with contextlib.suppress(Exception):
            postgres.stop(immediately=True)
        cluster = postgres.cluster()
        if cluster is not None and not cluster.is_relative_to(directory):
            shutil.rmtree(cluster.parent, ignore_errors=True)
        shutil.rmtree(installation.sockets, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)


def _migrate() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


@contextlib.contextmanager
def running(command: Sequence[str], name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our processes (its log goes into the data directory) for as long as the context lasts."""
    from promptops.management.services.processes import die_with_parent

    with Path(os.environ["DATA_DIR"], f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    try:
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def web_server(application: str, *, processes: int = 1) -> Iterator[int]:
    """Serve an ASGI application as `manage.py up` serves ours; yield the port once it answers."""
    from promptops.management.services.children import web_command

    port = free_port()
    os.environ["PORT"] = str(port)
    command = [*web_command(port, processes=processes)[:-1], application]
    with running(command, f"web-{port}") as process:
        end = time.monotonic() + START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > end:
                log = Path(os.environ["DATA_DIR"], f"web-{port}.log").read_text(errors="replace")
                sys.exit(f"The web server did not start:\n{log[-4000:]}")
            time.sleep(0.05)
        yield port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
