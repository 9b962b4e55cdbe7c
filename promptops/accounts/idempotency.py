"""``Idempotency-Key``: a POST that is sent again (a lost connection, a retry) happens once.

The key is taken, the work done and the answer stored in one transaction, under an advisory lock: there is no moment at
which the work is done and the answer is not known. Only successes are stored: a refused request changed nothing, so
sending it again may as well succeed. A key counts for 24 hours, for one caller in one project.

An answer that shows a secret once (a new token, an invitation) is stored without it; the repeat says so.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import re
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from promptops.accounts.models import ApiToken, IdempotencyKey
from promptops.core.errors import AppError, Conflict, Invalid
from promptops.core.rest import dumps
from promptops.core.streaming import STREAM_HEADER, WAIT_HEADER

KEEP = dt.timedelta(hours=24)
HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"^[\x21-\x7e]{1,255}$")
_PRUNE_ONE_IN = 200
_KEPT_HEADERS = ("Content-Type", "Location", STREAM_HEADER, WAIT_HEADER)  # a repeat streams, or waits, the same


class Repeated(AppError):
    """The same key came with another request. Not retryable: the caller has a bug."""

    http_status = 422
    default_code = "idempotency_mismatch"


def once(request: HttpRequest, token: ApiToken, work: Callable[[], HttpResponse]) -> HttpResponse:
    """Do the work once for the key in the request's header; give the stored answer to whoever asks again.

    A view that shows a secret sets ``request.secret_fields`` (names of members of the answer): they are not stored.

    Raises:
        Invalid: the key is not 1 to 255 visible ASCII characters.
        Repeated: the key was used for another request.
        Conflict: the first request with this key is still at work (``retry_after`` seconds).
    """
    key = request.headers[HEADER]
    if not _KEY.match(key):
        text = _("An idempotency key is 1 to 255 visible ASCII characters, such as a UUID.")
        raise Invalid(text, errors={HEADER: [text]})
    caller, digest = f"token:{token.pk}", _digest(request)
    with transaction.atomic():
        if not _locked(f"{token.project_id}/{caller}/{key}"):
            raise Conflict(
                _("The first request with this idempotency key is still being worked on. Ask again in a second."),
                code="idempotency_in_progress",
                retry_after=1,
            )
        keys = IdempotencyKey.objects.filter(project_id=token.project_id, caller=caller, key=key)
        stored = keys.first()
        if stored is not None and stored.created_at > timezone.now() - KEEP:
            if stored.request_sha256 != digest:
                raise Repeated(_("This idempotency key was used for a different request. Use a new key."))
            return _replay(stored)
        keys.delete()
        answer = work()
        if answer.status_code >= 400:
            # Nothing of it stays, and the key is free.
            transaction.set_rollback(True)
            return answer
        IdempotencyKey.objects.create(
            project_id=token.project_id,
            caller=caller,
            key=key,
            request_sha256=digest,
            status=answer.status_code,
            body=_kept(request, answer),
        )
    if random.randrange(_PRUNE_ONE_IN) == 0:  # noqa: S311  (not a secret)
        prune()
    return answer


def prune() -> int:
    """Forget keys older than a day. Returns how many."""
    deleted, _by_model = IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEEP).delete()
    return deleted


def _locked(name: str) -> bool:
    """Take the transaction's advisory lock of that name, without waiting."""
    number = int.from_bytes(hashlib.sha256(f"idempotency/{name}".encode()).digest()[:8], signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])


def _digest(request: HttpRequest) -> str:
    """Keyed, because a body may hold a secret that could be guessed from a plain hash."""
    described = f"{request.method} {request.get_full_path()}\n".encode()
    return salted_hmac("promptops.idempotency", described + request.body, algorithm="sha256").hexdigest()


def _kept(request: HttpRequest, answer: HttpResponse) -> dict[str, Any]:
    content: Any = json.loads(answer.content) if answer.content else None
    secret_fields = getattr(request, "secret_fields", ())
    for name in secret_fields:
        content[name] = None
    headers = {name: answer[name] for name in _KEPT_HEADERS if answer.has_header(name)}
    return {"content": content, "headers": headers}


def _replay(stored: IdempotencyKey) -> HttpResponse:
    kept: dict[str, Any] = stored.body or {}
    content = kept.get("content")
    answer = HttpResponse(b"" if content is None else dumps(content), status=stored.status or 200)
    answer[REPLAYED] = "true"
    for name, value in kept.get("headers", {}).items():
        answer[name] = value
    return answer
