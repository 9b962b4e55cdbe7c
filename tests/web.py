"""The real web server, for tests of what only a server shows: streams, caches, browsers, several processes.

`web` is one server that all tests of a session share; `serve()` starts another one, for tests that need several
processes, other settings or something to kill. Both work on this pytest worker's own database and Valkey. They see only
what is committed, so a test that uses them is marked `django_db(transaction=True)`.

    pytestmark = pytest.mark.django_db(transaction=True)

    def test_it_says_hello(web: WebServer) -> None:
        team = make_team()
        with web.client(team.token()) as client:
            assert client.get("/api/v1/prompts").json() == {"items": [], "next": None}
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from promptops.accounts.models import User

START_SECONDS = 40.0  # two cores, and everybody's imports
STOP_SECONDS = 10.0
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class WebServer:
    """A running server. ``process`` is granian's parent; each of its workers is a child of that process."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:41234``, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def client(self, token: str | None = None, *, session: str | None = None) -> httpx2.Client:
        """A caller of its own connections: with an API token, with a browser's session, or nobody. Close it."""
        return httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            cookies={"sessionid": session} if session else None,
            timeout=30,
        )

    def workers(self) -> list[int]:
        """The process ids of the workers that answer requests (Linux)."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"granian" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextlib.contextmanager
def serve(*, processes: int = 1, **environment: str) -> Iterator[WebServer]:
    """Run a server for as long as the context lasts; ``environment`` overrides settings."""
    from promptops.management.services.children import web_command
    from promptops.management.services.processes import die_with_parent

    port = free_port()
    log = Path(os.environ["DATA_DIR"], f"web-{port}.log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            web_command(port, processes=processes),
            cwd=ROOT,
            env={**os.environ, "PORT": str(port), "DATABASE_POOL": "1", "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    server = WebServer(port, process, log)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        _stop(process)


@pytest.fixture(scope="session")
def web(django_db_setup: None) -> Iterator[WebServer]:
    """The session's web server, one process. What it serves must be committed: see the module."""
    with serve() as server:
        yield server


def session_of(user: User) -> str:
    """Sign a person in without the form; return the value of the cookie ``sessionid``.

    (The tests hash passwords by a quick method that a real server does not know.)
    """
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    return str(store.session_key)


def free_port() -> int:
    """A port of the loopback address that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(server: WebServer) -> None:
    end = time.monotonic() + START_SECONDS
    while server.process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{server.url}/healthz", timeout=5).status_code == 200:
                return
            break  # it answers, but with an error: what is broken is in its log
        time.sleep(0.05)
    raise AssertionError(f"The web server did not start:\n{server.log.read_text(errors='replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        process.terminate()
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what outlived its parent
    process.wait()
