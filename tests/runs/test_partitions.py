"""A partition a month, made ahead by the application itself; and what is forgotten in time."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

import psycopg
import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from promptops.core.ids import uuid7
from promptops.runs.claiming import claim
from promptops.runs.maintenance import tidy
from promptops.runs.models import Run, RunPayload, Worker
from promptops.runs.partitions import ensure_partitions
from tests import services
from tests.people import Team
from tests.runs.conftest import Begin

pytestmark = pytest.mark.django_db


def partitions_of(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [f"runs_{table}"]
        )
        return {name for (name,) in cursor.fetchall()}


def partition_of(run_id: uuid.UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM runs_run WHERE id = %s", [run_id])
        ((name,),) = cursor.fetchall()
        return str(name)


def test_a_run_lies_in_the_partition_of_its_month(team: Team, begin: Begin) -> None:
    (run,) = begin(team.project.endpoints.get(provider="local"))
    assert partition_of(run.pk) == f"runs_run_{timezone.now():%Y_%m}"
    for table in ("run", "runpayload", "attempt"):
        assert len(partitions_of(table)) == 5  # this month, the next three, and the one for the rest


@pytest.mark.django_db(transaction=True)
def test_the_application_makes_partitions_and_fetches_what_had_none(
    team: Team, begin: Begin, session_directory: Path, database_name: str
) -> None:
    (run,) = begin(team.project.endpoints.get(provider="local"))
    tables = ("run", "runpayload", "attempt")
    before = {table: partitions_of(table) for table in tables}
    distant = timezone.now() + dt.timedelta(days=31 * 5)
    milliseconds = int(distant.timestamp() * 1000)
    moved = uuid.UUID(int=milliseconds << 80 | uuid7().int & (1 << 80) - 1)
    copy = Run.objects.get(pk=run.pk)
    copy.pk = moved
    copy.save(force_insert=True)
    RunPayload.objects.create(run_id=moved, messages=[])
    assert partition_of(moved) == "runs_run_default"
    try:
        assert ensure_partitions(6) == 3 * 3
        assert partition_of(moved) == f"runs_run_{distant:%Y_%m}"
        assert Run.objects.filter(pk=moved).exists()
        assert RunPayload.objects.filter(pk=moved).exists()
        assert ensure_partitions(6) == 0
        assert len(claim("local", 9, "w")) == 2  # rules and indexes hold there too
        with pytest.raises(IntegrityError):
            Run.objects.filter(pk=moved).update(label="other")
        with (
            services.role(session_directory, database_name) as app,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            app.execute("CREATE TABLE runs_run_2099_01 PARTITION OF runs_run DEFAULT")
    finally:
        with services.role(session_directory, database_name, "promptops_owner") as owner:
            for table in tables:
                for name in partitions_of(table) - before[table]:
                    owner.execute(f"DROP TABLE {name}")
            owner.commit()


def test_tidying_forgets_workers_that_are_long_gone(team: Team) -> None:
    now = timezone.now()
    Worker.objects.create(name="old", queue="api", seen_at=now - dt.timedelta(hours=2))
    Worker.objects.create(name="new", queue="api", seen_at=now - dt.timedelta(minutes=2))
    tidy()
    assert list(Worker.objects.values_list("name", flat=True)) == ["new"]
