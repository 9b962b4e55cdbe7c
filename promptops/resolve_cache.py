"""The hot path: `GET /api/v1/prompts/{slug}/resolve` answered from memory, natively, in front of Django.

Services call it before each of their own calls. While nothing changed, such a request touches neither PostgreSQL nor
Valkey nor a thread. How it stays right is told in docs/hot-path.md; in short:

- An answer that may be kept bears a note of Django's (`promptops/rest.py`), in a header that ends here.
- The key is all of the request that the answer depends on, as bytes: whoever asks differently asks Django.
- One thread looks at the change feed twice a second; what a changed project's answers said is forgotten.
- An answer computed before a change and kept after it would stay wrong, so it is not kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper

from promptops.accounts import token_use
from promptops.core.change_watch import ChangeWatch, Look, clock
from promptops.core.conditional import matches
from promptops.core.rest import NOTE_HEADER
from promptops.resolve_memory import Answer, Header, Key, Note, ResolveMemory

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BEFORE_SLUG, AFTER_SLUG = "/api/v1/prompts/", "/resolve"
# The key is made of the path, the query, who asks, and what our own rules of host and TLS look at.
AUTHORIZATION, HOST, FORWARDED_PROTO = b"authorization", b"host", b"x-forwarded-proto"
IF_NONE_MATCH = b"if-none-match"
# A request with a body is not one that we know how to answer.
CONTENT_LENGTH, TRANSFER_ENCODING = b"content-length", b"transfer-encoding"
READ_HEADERS = frozenset((AUTHORIZATION, HOST, FORWARDED_PROTO, IF_NONE_MATCH, CONTENT_LENGTH, TRANSFER_ENCODING))
# The answer is the prompt as it was written, whatever language the caller's errors would be in.
NOT_KEPT = frozenset((NOTE_HEADER.lower().encode(), b"content-language", b"vary"))
KEPT_STATUSES = (200, 308)
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
OWN_WRITE_SECONDS = 0.25  # how long at most a write's answer waits until this process has heard of the write


class ResolveCache:
    """Answers `resolve` from memory where it can, and passes everything else on to ``inner``, untouched."""

    def __init__(self, inner: Application) -> None:
        self.inner = inner
        self.memory = ResolveMemory(
            limit=settings.RESOLVE_CACHE_BYTES, stale_seconds=settings.RESOLVE_STALE_SECONDS, clock=clock
        )
        self.watch = ChangeWatch(self._hear, _write_token_uses)
        self._asking: dict[Key, asyncio.Future[None]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] != "http":
            await self.inner(scope, receive, send)
        elif scope["method"] not in SAFE_METHODS:
            await self._write(scope, receive, send)
        else:
            path = scope["path"]
            if not (path.endswith(AFTER_SLUG) and path.startswith(BEFORE_SLUG)):
                await self.inner(scope, receive, send)
            elif (question := _question(scope)) is not None:
                await self._resolve(*question, scope, receive, send)
            else:
                await self._pass_on(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the feed from the beginning to the end of the process."""
        self.watch.start()
        try:
            await self.inner(scope, receive, send)
        finally:
            await asyncio.to_thread(self.watch.stop)

    async def _resolve(self, key: Key, known: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self.memory.get(key)
        if answer is not None:
            token_use.note_only(answer.note.token)
        else:
            answer = await self._ask(key, scope, receive, send)
            if answer is None:
                return
        if known and answer.etag is not None and matches(known.decode("latin-1"), answer.etag):
            await send({"type": "http.response.start", "status": 304, "headers": _without_content(answer.headers)})
            await send(_EMPTY)
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send(_EMPTY if scope["method"] == "HEAD" else {"type": "http.response.body", "body": answer.body})

    async def _ask(self, key: Key, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """Have Django answer; None when its answer is not one to keep, and was sent as it is.

        Many who ask the same at once (everybody, after a change) wait for the first: Django is asked once.
        """
        asking = self._asking.get(key)
        if asking is not None:
            await asyncio.wait([asking])
            answer = self.memory.get(key)
            if answer is not None:
                token_use.note_only(answer.note.token)
                return answer
        self.watch.start()
        asking = asyncio.get_running_loop().create_future()
        self._asking.setdefault(key, asking)
        try:
            moment = self.memory.moment()
            collected = _Collected()
            # The whole answer, whatever this caller knows already: it is for the others too.
            await self.inner({**scope, "method": "GET", "headers": _unconditional(scope)}, receive, collected.take)
            answer = collected.answer()
            if answer is not None:
                self.memory.put(key, answer, moment)
        finally:
            asking.set_result(None)
            if self._asking.get(key) is asking:
                del self._asking[key]
        if answer is None:
            await collected.send(send, with_body=scope["method"] != "HEAD")
        return answer

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have Django answer; only the note ends here."""
        collected = _Collected()
        await self.inner(scope, receive, collected.take)
        await collected.send(send, with_body=True)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let whoever changes something through this process see the change here at once, not half a second later."""

        async def after_a_look(event: Event) -> None:
            if event["type"] == "http.response.start" and event["status"] < 400 and (self.memory or self._asking):
                await self.watch.look_now(OWN_WRITE_SECONDS)
            await send(event)

        # Starting a run changes nothing that is remembered here.
        await self.inner(scope, receive, send if "/runs" in scope["path"] else after_a_look)

    def _hear(self, look: Look) -> None:
        self.memory.hear(look)


class _Collected:
    """An answer as the events of an application, until it is whole."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[Header] = []
        self.body: list[bytes] = []

    async def take(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self.headers = [(bytes(name), bytes(value)) for name, value in event.get("headers", ())]
        elif event["type"] == "http.response.body":
            self.body.append(event.get("body", b""))

    def answer(self) -> Answer | None:
        """Return it to be kept, if Django's note allows that."""
        named = dict(self.headers)
        note = named.get(NOTE_HEADER.lower().encode())
        if note is None or self.status not in KEPT_STATUSES or b"set-cookie" in named:
            return None
        body = b"".join(self.body)
        headers = [(name, value) for name, value in self.headers if name not in NOT_KEPT and name != CONTENT_LENGTH]
        headers.append((CONTENT_LENGTH, str(len(body)).encode()))
        etag = named[b"etag"].decode("latin-1") if b"etag" in named else None
        return Answer(self.status, headers, body, etag, _note(json.loads(note)))

    async def send(self, send: Send, *, with_body: bool) -> None:
        headers = [(name, value) for name, value in self.headers if name != NOTE_HEADER.lower().encode()]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"".join(self.body)} if with_body else _EMPTY)


_EMPTY = {"type": "http.response.body", "body": b""}


def _question(scope: Scope) -> tuple[Key, bytes] | None:
    """Return the key, and what If-None-Match says; None for a request that only Django should answer."""
    if scope["method"] not in ("GET", "HEAD"):
        return None
    given: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in READ_HEADERS:
            given[name] = given[name] + b", " + value if name in given else value
    if AUTHORIZATION not in given or CONTENT_LENGTH in given or TRANSFER_ENCODING in given:
        return None
    asks = b"%b\n%b\n%b" % (given[AUTHORIZATION], given.get(HOST, b""), given.get(FORWARDED_PROTO, b""))
    # A token is kept as a digest here, as everywhere.
    return (hashlib.sha256(asks).digest(), scope["path"], scope["query_string"]), given.get(IF_NONE_MATCH, b"")


def _unconditional(scope: Scope) -> list[Header]:
    return [(name, value) for name, value in scope["headers"] if name != IF_NONE_MATCH]


def _without_content(headers: list[Header]) -> list[Header]:
    return [(name, value) for name, value in headers if name not in (CONTENT_LENGTH, b"content-type")]


def _note(given: Mapping[str, Any]) -> Note:
    return Note(project=given["project"], token=given["token"], expires=given["expires"])


def _write_token_uses(connection: BaseDatabaseWrapper, ending: bool) -> None:
    if ending:
        token_use.flush(connection)
    else:
        token_use.flush_when_due(connection)
