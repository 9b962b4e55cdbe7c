"""`/healthz`: the process lives. `/readyz`: everything it needs is there, part by part."""

from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from promptops.runs.doorbell import QUEUES
from promptops.runs.liveness import living_workers

Part = dict[str, Any]
_UNKNOWN: Part = {"ok": False, "error": "The database does not answer."}


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every part is there, 503 otherwise; each part says whether it is `ok`, and what is wrong."""
    parts = {"database": _outcome(_database), "broker": _outcome(_broker)}
    in_the_database: dict[str, Callable[[], Part]] = {"migrations": _migrations}
    in_the_database |= {f"worker-{queue}": partial(_worker, queue) for queue in QUEUES}
    for name, check in in_the_database.items():
        # Waiting for the same silence again would only take the time of whoever asks.
        parts[name] = _outcome(check) if parts["database"]["ok"] else dict(_UNKNOWN)
    ok = all(part["ok"] for part in parts.values())
    response = JsonResponse({"status": "ok" if ok else "unavailable", "parts": parts}, status=200 if ok else 503)
    response._has_been_logged = True  # type: ignore[attr-defined]  # else an error in the log each time
    return response


def _outcome(check: Callable[[], Part]) -> Part:
    """A part that cannot be asked is a part that is missing. Only the kind of error is told: this page is public."""
    try:
        return check()
    except Exception as error:
        return {"ok": False, "error": type(error).__name__}


def _database() -> Part:
    with connection.cursor() as cursor:
        # With the C locale PostgreSQL finds no trigrams in Chinese text, and search would silently find nothing.
        cursor.execute("SELECT cardinality(show_trgm('提示'))")
        if not cursor.fetchone()[0]:
            return {"ok": False, "error": "The database was not created with a UTF-8 locale (use C.UTF-8)."}
    return {"ok": True}


def _broker() -> Part:
    with redis.Redis.from_url(settings.VALKEY_URL, socket_timeout=2, socket_connect_timeout=2) as client:
        return {"ok": bool(client.ping())}


_migrated = False


def _migrations() -> Part:
    global _migrated
    if not _migrated:  # what was applied stays applied; reading every migration at each question would be slow
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if pending:
            return {"ok": False, "error": f"{len(pending)} migrations are not applied."}
        _migrated = True
    return {"ok": True}


def _worker(queue: str) -> Part:
    count = living_workers().filter(queue=queue).count()
    return {"ok": True, "workers": count} if count else {"ok": False, "error": f"No worker serves the queue {queue!r}."}
