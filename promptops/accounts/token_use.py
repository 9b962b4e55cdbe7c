"""When each token was last used: noted in memory, written in bulk, so that reading costs no write.

A process that dies loses at most the last five seconds of it.
"""

from __future__ import annotations

import datetime as dt
import threading
import time

from django.db import connection, transaction
from django.utils import timezone

FLUSH_SECONDS = 5.0

_lock = threading.Lock()
_used: dict[int, dt.datetime] = {}
_flushed_at = 0.0

_UPDATE = """
UPDATE accounts_apitoken SET last_used_at = used.at
FROM unnest(%s::bigint[], %s::timestamptz[]) AS used(id, at)
WHERE accounts_apitoken.id = used.id AND (last_used_at IS NULL OR last_used_at < used.at)
"""


def note(token_id: int) -> None:
    """Remember that a token was used now, and write what was gathered when it is time."""
    note_only(token_id)
    if time.monotonic() - _flushed_at >= FLUSH_SECONDS:
        flush()


def note_only(token_id: int) -> None:
    """Remember that a token was used now; never touches the database."""
    _used[token_id] = timezone.now()


def flush() -> int:
    """Write what was gathered. Returns the number of tokens; on a database error they are kept for the next time."""
    global _flushed_at, _used
    with _lock:
        _flushed_at = time.monotonic()
        gathered, _used = _used, {}
    if not gathered:
        return 0
    ids = sorted(gathered)  # one order for all processes: two of them cannot wait for each other
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Whoever else writes the same row will have written a time as good as ours: never wait for a lock.
            cursor.execute(
                "SELECT id FROM accounts_apitoken WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED", [ids]
            )
            free = [row[0] for row in cursor.fetchall()]
            cursor.execute(_UPDATE, [free, [gathered[one] for one in free]])
    except Exception:
        with _lock:
            _used = {**gathered, **_used}
        raise
    return len(free)
