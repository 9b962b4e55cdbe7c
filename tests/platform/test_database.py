import socket
from pathlib import Path

import psycopg
import pytest
import redis
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from pytest_socket import SocketConnectBlockedError

from tests import services


@pytest.mark.django_db
def test_it_uses_the_application_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        user, name = cursor.fetchone()
    assert user == "promptops_app"
    assert name.startswith("test_")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement", ["CREATE TABLE t (id int)", "TRUNCATE django_session", "DROP TABLE django_session"]
)
def test_it_refuses_the_application_to_change_the_schema(
    statement: str, session_directory: Path, database_name: str
) -> None:
    with services.role(session_directory, database_name) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", [1, 2])
def test_it_forgets_what_a_test_committed_but_keeps_what_migrations_made(attempt: int) -> None:
    assert not Session.objects.exists()
    assert ContentType.objects.filter(app_label="sessions").exists()
    Session.objects.create(session_key=f"key{attempt}", session_data="", expire_date=timezone.now())


def test_it_keeps_the_valkey_of_each_worker_apart(valkey: redis.Redis) -> None:
    assert valkey.dbsize() == 0
    valkey.set("name", "value")
    assert valkey.get("name") == b"value"


def test_it_lets_nobody_reach_the_internet() -> None:
    with pytest.raises(SocketConnectBlockedError), socket.create_connection(("192.0.2.1", 80), timeout=1):
        pass
