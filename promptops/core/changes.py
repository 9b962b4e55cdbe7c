"""The change feed: how every process learns within half a second that something it cached has changed.

Triggers on the cached tables (labels, prompts, tokens, memberships) insert one row into ``core_change`` in the writing
transaction. A process asks "which projects changed since the snapshot that I saw last?" PostgreSQL answers that
exactly: a row's transaction id was not visible in the older snapshot and is visible now. So there is no counter to
contend for, no lock, and no commit that falls between two polls; and nothing depends on Valkey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

KEEP_HOURS = 1


@dataclass(frozen=True)
class Changes:
    """``projects`` changed since the last look; None means: too long ago to tell, drop everything."""

    snapshot: str
    projects: frozenset[int] | None


_POLL = """
SELECT pg_current_snapshot()::text,
       ARRAY(SELECT DISTINCT project_id FROM core_change
             WHERE xid >= pg_snapshot_xmin(%(seen)s::pg_snapshot)
               AND NOT pg_visible_in_snapshot(xid, %(seen)s::pg_snapshot))
"""


def look(seen: str | None, *, using: BaseDatabaseWrapper | None = None) -> Changes:
    """Return what changed since the snapshot ``seen`` (``Changes.snapshot`` of the last look; None at the first).

    ``using`` is another connection than the usual one.
    """
    with (using or connection).cursor() as cursor:
        if seen is None:
            cursor.execute("SELECT pg_current_snapshot()::text")
            return Changes(cursor.fetchone()[0], None)
        cursor.execute(_POLL, {"seen": seen})
        row = cursor.fetchone()
        return Changes(row[0], frozenset(row[1]))


def prune() -> int:
    """Delete rows that every live process has long seen; a process that looks less often drops its cache instead."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_change WHERE at < now() - make_interval(hours => %s)", [KEEP_HOURS])
        return int(cursor.rowcount)


def watch_sql(table: str, *, project_column: str = "project_id", columns: Sequence[str] = ()) -> tuple[str, str]:
    """Return the SQL (forwards, backwards) by which a migration has the feed watch ``table``.

    ``columns`` narrows updates to those that matter (a "last used" time must not empty every cache).
    """
    update = f"UPDATE OF {', '.join(columns)}" if columns else "UPDATE"
    create = (
        f"CREATE TRIGGER {table}_change AFTER INSERT OR {update} OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION core_note_change('{project_column}');"
    )
    return create, f"DROP TRIGGER {table}_change ON {table};"
