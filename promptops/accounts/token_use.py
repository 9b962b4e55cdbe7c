"""When each token was last used: noted in memory, written in bulk, so that reading costs no write.

A web process writes in the background (`promptops/resolve_cache.py`), any other when a request finds that it is time.
A process that dies loses at most the last five seconds of it.
"""

from __future__ import annotations

import threading
import time

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

FLUSH_SECONDS = 5.0

_lock = threading.Lock()
_used: dict[int, float] = {}  # Unix time by token
_flushed_at = 0.0

# One order for all processes, and whoever else writes a row at this moment will have written a time as good as ours: so
# nobody ever waits for a lock here.
_UPDATE = """
WITH used AS (
    SELECT id, to_timestamp(at) AS at FROM unnest(%s::bigint[], %s::float8[]) AS used(id, at)
), free AS (
    SELECT id FROM accounts_apitoken WHERE id IN (SELECT id FROM used) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE accounts_apitoken AS token SET last_used_at = used.at
FROM used JOIN free USING (id)
WHERE token.id = used.id AND (last_used_at IS NULL OR last_used_at < used.at)
"""


def note(token_id: int) -> None:
    """Remember that a token was used now, and write what was gathered when it is time."""
    note_only(token_id)
    flush_when_due()


def note_only(token_id: int) -> None:
    """Remember that a token was used now; never touches the database."""
    with _lock:
        _used[token_id] = time.time()


def flush_when_due(using: BaseDatabaseWrapper | None = None) -> None:
    """Write what was gathered if the last time was five seconds ago."""
    if time.monotonic() - _flushed_at >= FLUSH_SECONDS:
        flush(using)


def flush(using: BaseDatabaseWrapper | None = None) -> int:
    """Write what was gathered, by another connection than the usual one if it is given.

    Returns the number of tokens written; on a database error they are kept for the next time.
    """
    global _flushed_at, _used
    with _lock:
        _flushed_at = time.monotonic()
        gathered, _used = _used, {}
    if not gathered:
        return 0
    try:
        with (using or connection).cursor() as cursor:
            cursor.execute(_UPDATE, [list(gathered), list(gathered.values())])
            return int(cursor.rowcount)
    except Exception:
        with _lock:
            _used = {**gathered, **_used}
        raise
