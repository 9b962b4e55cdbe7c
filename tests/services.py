"""One private PostgreSQL and Valkey for a whole test session: started by the first process that needs them, stopped by
the controller. A template database is migrated once; every worker process gets a clone of it.
"""

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from promptops.core.installation import Installation
from promptops.management.services.postgres import APP, DATABASE, OWNER, PostgresService
from promptops.management.services.valkey import ValkeyService

ROOT = Path(tempfile.gettempdir())
PREFIX = "promptops-test-"
KEPT_TABLES = {"django_migrations"}
_alive: list[object] = []  # the controller holds its lock file open for as long as it lives


def make_session_directory() -> Path:
    """A data directory for this session alone; clears away what killed sessions left behind."""
    for old in ROOT.glob(PREFIX + "*"):
        _remove_if_abandoned(old)
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=ROOT))
    directory.chmod(0o711)
    lock = (directory / "controller.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    _alive.append(lock)
    atexit.register(_remove, directory, os.getpid())
    return directory


def start(directory: Path) -> None:
    """Start both servers and migrate the template, once a session: the other processes wait here."""
    with (directory / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (directory / "ready").exists():
            return
        installation = Installation.at(directory)
        _start_valkey(installation)
        PostgresService(installation, durable=False).start()
        from django.core.management import call_command

        call_command("migrate", database="owner", verbosity=0)
        from django.db import connections

        connections.close_all()  # a template must not be in use
        (directory / "ready").touch()


def start_valkey(directory: Path) -> None:
    """Valkey alone, for tests that need no database; safe from several processes at once."""
    with (directory / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _start_valkey(Installation.at(directory))


def _start_valkey(installation: Installation) -> None:
    ValkeyService(installation, durable=False).start()  # does nothing when it runs


def clone(directory: Path, name: str) -> None:
    """A fresh copy of the migrated database."""
    with _superuser(directory, "postgres") as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(DATABASE)
            )
        )


def drop(directory: Path, name: str) -> None:
    with contextlib.suppress(psycopg.OperationalError), _superuser(directory, "postgres") as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def clean(directory: Path, name: str) -> None:
    """Back to what the migrations made: for tests that committed.

    As superuser with triggers off, because the application may not truncate and our own triggers refuse to forget.
    """
    with _superuser(directory, name) as connection, connection.transaction():
        rows = connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"
        ).fetchall()
        tables = sorted({row[0] for row in rows} - KEPT_TABLES)
        if not tables:
            return
        connection.execute("SET LOCAL session_replication_role = replica")
        names = sql.SQL(", ").join(sql.Identifier(table) for table in tables)
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
        for table, content in _initial_rows(directory, tables).items():
            with (
                connection.cursor() as cursor,
                cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy,
            ):
                copy.write(content)


_initial: dict[str, bytes] | None = None


def _initial_rows(directory: Path, tables: list[str]) -> dict[str, bytes]:
    """What the migrations themselves put into tables (permissions, content types, the installation's chain …)."""
    global _initial
    if _initial is None:
        _initial = {}
        with _superuser(directory, DATABASE) as connection, connection.cursor() as cursor:
            for table in tables:
                query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT").format(sql.Identifier(table))
                with cursor.copy(query) as copy:
                    content = b"".join(bytes(block) for block in copy)
                if content:
                    _initial[table] = content
    return _initial


def _superuser(directory: Path, database: str) -> psycopg.Connection:
    return PostgresService(Installation.at(directory)).connect(database=database)


def _remove(directory: Path, controller: int) -> None:
    if os.getpid() == controller:
        _stop(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_if_abandoned(directory: Path) -> None:
    with contextlib.suppress(OSError), (directory / "controller.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while its controller lives
        _stop(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _stop(directory: Path) -> None:
    installation = Installation.at(directory)
    postgres = PostgresService(installation)
    with contextlib.suppress(Exception):
        postgres.stop(immediately=True)
    with contextlib.suppress(Exception):
        ValkeyService(installation).stop(immediately=True)
    cluster = postgres.cluster()
    if cluster is not None and not cluster.is_relative_to(directory):
        shutil.rmtree(cluster.parent, ignore_errors=True)
    shutil.rmtree(installation.sockets, ignore_errors=True)


@contextlib.contextmanager
def role(directory: Path, name: str, role_name: str = APP) -> Iterator[psycopg.Connection]:
    """A plain connection as one of the roles, for tests of rights and triggers."""
    connection = PostgresService(Installation.at(directory)).connect(role_name, name)
    try:
        yield connection
    finally:
        connection.close()
