"""What a web server does with what it remembers while PostgreSQL is away, and when it is back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from django.db import connections

from promptops.core.change_watch import LONGEST_DELAY, LOOK_SECONDS
from promptops.core.installation import Installation
from promptops.management.services.postgres import PostgresService
from promptops.prompts.services import move_label, remove_label
from tests.people import make_team
from tests.web import serve

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/v1/prompts/greeting/resolve"
STALE_SECONDS = 3


@contextlib.contextmanager
def away(directory: Path, name: str) -> Iterator[None]:
    """Nobody can reach this worker's database: what was connected is cut, what comes anew is refused."""
    connections.close_all()
    with PostgresService(Installation.at(directory)).connect(database="postgres") as superuser:
        superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            yield
        finally:
            superuser.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_it_answers_from_memory_for_a_while_and_catches_up(session_directory: Path, database_name: str) -> None:
    team = make_team()
    first = team.prompt()
    move_label(team.actor("editor"), first.prompt, "production", first)
    with serve(RESOLVE_STALE_SECONDS=str(STALE_SECONDS)) as server, server.client(team.token()) as caller:
        time.sleep(LOOK_SECONDS + 0.1)
        cold = caller.get(PATH)
        assert cold.status_code == 200
        with away(session_directory, database_name):
            cut = time.monotonic()
            served, refused = last_served(caller)
            assert STALE_SECONDS - 1 < served - cut < STALE_SECONDS
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert caller.get("/healthz").status_code == 200
        # It is back, and something has changed before the server noticed that it is.
        remove_label(team.actor("editor"), first.prompt, "production", reason="withdrawn")
        back = time.monotonic()
        assert caller.get("/api/v1/prompts").status_code == 200
        assert time.monotonic() < back + 3, "the pool should connect again as soon as it is asked"
        while caller.get(PATH).status_code != 404:
            assert time.monotonic() < back + LONGEST_DELAY + 1
            time.sleep(0.05)
        move_label(team.actor("editor"), first.prompt, "production", first)
        assert caller.get(PATH).json() == cold.json()
        while "The change feed is read again" not in server.log.read_text():
            assert time.monotonic() < back + LONGEST_DELAY + 1
            time.sleep(0.05)
        log = server.log.read_text()
    assert log.count("The change feed cannot be read") == 1, "said once, not at every attempt"


def last_served(caller: httpx2.Client) -> tuple[float, httpx2.Response]:
    """When the last answer was asked for that was not refused, and the first refusal."""
    served = 0.0
    while True:
        asked = time.monotonic()
        answer = caller.get(PATH)
        if answer.status_code != 200:
            return served, answer
        served = asked
        time.sleep(0.02)
