"""`/healthz` and `/readyz`: who asks is a supervisor, a load balancer or a person who wonders why nothing runs."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone

from promptops import health
from promptops.runs.liveness import ALIVE
from promptops.runs.models import Worker

pytestmark = pytest.mark.django_db


def worker(queue: str, *, seen: dt.timedelta = dt.timedelta()) -> Worker:
    now = timezone.now()
    return Worker.objects.create(name=f"{queue}@machine:1", queue=queue, started_at=now, seen_at=now - seen)


def readyz(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    assert answer["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    return answer.status_code, answer.json()["parts"]


def test_the_process_lives_whatever_else_is_missing(client: Client, settings: LazySettings) -> None:
    settings.VALKEY_URL = "unix:///nonexistent.sock"
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    assert client.head("/healthz").status_code == 200
    assert client.post("/healthz").status_code == 405


def test_it_is_ready_when_every_part_is_there(client: Client, valkey: Any) -> None:
    worker("api")
    worker("local")
    status, parts = readyz(client)
    assert status == 200
    assert parts == {
        "database": {"ok": True},
        "broker": {"ok": True},
        "migrations": {"ok": True},
        "worker-api": {"ok": True, "workers": 1},
        "worker-local": {"ok": True, "workers": 1},
    }


def test_it_is_not_ready_without_a_worker_for_each_queue(client: Client, valkey: Any) -> None:
    worker("api")
    worker("local", seen=ALIVE + dt.timedelta(seconds=1))  # it has said nothing for too long
    status, parts = readyz(client)
    assert status == 503
    assert parts["worker-api"]["ok"] is True
    assert parts["worker-local"]["ok"] is False
    assert "'local'" in parts["worker-local"]["error"]


def test_it_is_not_ready_without_the_broker(client: Client, settings: LazySettings) -> None:
    worker("api")
    worker("local")
    settings.VALKEY_URL = "unix:///nonexistent/secret-place.sock"
    status, parts = readyz(client)
    assert status == 503
    assert [name for name, part in parts.items() if not part["ok"]] == ["broker"]
    assert "secret-place" not in str(parts)  # the page is public


def test_it_is_not_ready_before_the_migrations_are_applied(
    client: Client, valkey: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'runs'")
    status, parts = readyz(client)
    assert status == 503
    assert parts["migrations"]["ok"] is False
    assert "not applied" in parts["migrations"]["error"]
