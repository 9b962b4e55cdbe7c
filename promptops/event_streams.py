"""The ASGI layer that streams and waits, for views that may not: see ``core.streaming`` and decision 0004.

A view's answer passes through untouched, unless it carries one of the two internal headers. Then the answer is held
here: its channels are streamed as server-sent events, or it goes out when its channel has ended. Neither holds a
thread. Who disconnects is forgotten at once.

The id of an event says all that a connection has told so far, run by run in the order of the channels: ``2.1042`` is
"1,042 characters of attempt 2", ``e`` is "ended", nothing is "nothing"; with commas between. So a stream goes on behind
``Last-Event-ID`` from any process, whatever has become of Valkey meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from promptops.core.errors import Unavailable
from promptops.core.rest import dumps, problem_response
from promptops.core.streaming import EVENT_STREAM, STREAM_HEADER, WAIT_HEADER
from promptops.runs.events import run_id_of
from promptops.runs.watcher import Ended, Event, Heard, Started, Watcher
from promptops.runs.watching import Hub

MAX_CONNECTIONS = 1000
"""Streams and waits of one process at a time."""

STREAM_SECONDS = 600.0
"""Then a stream closes, and its reader connects again: whoever has lost the right to it stays no longer than this."""

QUIET_SECONDS = 15.0
"""Proxies cut connections on which nothing comes for a minute or so."""

RECONNECT_MILLISECONDS = 1000

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_STREAM = STREAM_HEADER.lower().encode()
_WAIT = WAIT_HEADER.lower().encode()
_POSITION = re.compile(r"(\d{1,5})\.(\d{1,9})")
_OWN_HEADERS = (b"content-length", b"content-type", b"cache-control")

logger = logging.getLogger(__name__)


class EventStreams:
    """Wraps the application whose views authorise."""

    def __init__(self, inner: Application) -> None:
        self.inner = inner
        self._hub: Hub | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        answer = _Answer(send)
        await self.inner(scope, receive, answer.send)
        if answer.passed_on:
            return
        if scope["method"] == "HEAD":
            await answer.pass_on()
        elif answer.internal[0] == _STREAM:
            await self._stream(scope, receive, answer)
        else:
            await self._wait(receive, answer)

    async def _stream(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        run_ids = [run_id_of(channel) for channel in json.loads(answer.internal[1])]
        told = told_by(_header(scope, b"last-event-id"), run_ids)
        if all(one.ended for one in told.values()):
            await answer.replace(204, b"")  # by which a browser's EventSource knows that it need not come back
            return
        hub = self._hub_of_this_loop()
        if len(hub.watchers) >= MAX_CONNECTIONS:
            await _refuse(answer)
            return
        watcher = hub.watch({run_id: Heard(**vars(one)) for run_id, one in told.items()})
        try:
            async with _disconnection(receive) as gone:
                await answer.begin_stream()
                await _tell(watcher, told, answer, gone)
                await answer.end_stream()
        finally:
            hub.leave(watcher)

    async def _wait(self, receive: Receive, answer: _Answer) -> None:
        channel, seconds = json.loads(answer.internal[1])
        run_id = run_id_of(channel)
        hub = self._hub_of_this_loop()
        if len(hub.watchers) >= MAX_CONNECTIONS:
            await answer.pass_on()
            return
        watcher = hub.watch({run_id: Heard()}, tokens=False)
        try:
            async with _disconnection(receive) as gone:
                await _first_of(watcher.wake, gone, seconds)
                if gone.is_set():
                    return
        finally:
            hub.leave(watcher)
        ended = [event for event in watcher.take() if isinstance(event, Ended)]
        if ended:
            await answer.replace(201, ended[0].run.encode())
            return
        try:
            await answer.replace(answer.status, (await hub.run_json(run_id)).encode())
        except Exception as error:
            logger.warning("A run that was waited for could not be read again: %s", error)
            await answer.pass_on()

    def _hub_of_this_loop(self) -> Hub:
        if self._hub is None:
            self._hub = Hub(settings.VALKEY_URL)
            _close_at_stop(self._hub)
        return self._hub


class _Answer:
    """What the application answers: passed on as it comes, or held where it carries an internal header."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.passed_on = False
        self.status = 0
        self.internal: tuple[bytes, bytes] = (b"", b"")
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def send(self, message: Message) -> None:
        """What the application calls."""
        if self.passed_on:
            await self._send(message)
        elif message["type"] == "http.response.start":
            internal = [header for header in message["headers"] if header[0] in (_STREAM, _WAIT)]
            if internal:
                self.internal = internal[0]
                self.status = message["status"]
                self._headers = [header for header in message["headers"] if header[0] not in (_STREAM, _WAIT)]
            else:
                self.passed_on = True
                await self._send(message)
        else:
            self._body += message.get("body", b"")

    async def pass_on(self) -> None:
        """Send it as the application made it, without the internal header."""
        await self._begin(self.status, self._headers)
        await self._send({"type": "http.response.body", "body": self._body})

    async def replace(self, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Send another body with the headers that it had."""
        names = {b"content-length", *(name for name, _value in headers)} | ({b"content-type"} if not body else set())
        kept = [header for header in self._headers if header[0] not in names]
        length = [(b"content-length", str(len(body)).encode())] if status != 204 else []
        await self._begin(status, [*kept, *headers, *length])
        await self._send({"type": "http.response.body", "body": body})

    async def begin_stream(self) -> None:
        kept = [header for header in self._headers if header[0] not in _OWN_HEADERS]
        own = [
            (b"content-type", EVENT_STREAM.encode()),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # a proxy that gathers would defeat it
        ]
        await self._begin(self.status, [*kept, *own])
        await self.stream(f"retry: {RECONNECT_MILLISECONDS}\n\n")

    async def stream(self, text: str) -> None:
        await self._send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def end_stream(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.passed_on = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def _tell(watcher: Watcher, told: dict[uuid.UUID, Heard], answer: _Answer, gone: asyncio.Event) -> None:
    """Stream what the watcher hears until all has ended, the time is over, or the reader has gone."""
    end = asyncio.get_running_loop().time() + STREAM_SECONDS
    while not gone.is_set():
        events = watcher.take()
        if events:
            await answer.stream("".join(_frame(event, told) for event in events))
        elif watcher.finished or watcher.closed or asyncio.get_running_loop().time() >= end:
            return
        elif not await _first_of(watcher.wake, gone, QUIET_SECONDS):
            await answer.stream(": nothing new\n\n")


def _frame(event: Event, told: dict[uuid.UUID, Heard]) -> str:
    """Return one event as server-sent events have it; notes in ``told`` what its reader knows by then."""
    run_id = str(event.run_id)
    heard = told[event.run_id]
    if isinstance(event, Started):
        heard.attempt, heard.characters = event.attempt, 0
        data = dumps({"run": run_id, "attempt": event.attempt, "started_at": event.started_at})
        name = "started"
    elif isinstance(event, Ended):
        heard.ended = True
        data = f'{{"run":"{run_id}",{event.run[1:]}'
        name = "ended"
    else:
        heard.attempt, heard.characters = event.attempt, event.offset + len(event.text)
        data = dumps({"run": run_id, "text": event.text, "offset": event.offset})
        name = "token"
    return f"id: {_id_of(told)}\nevent: {name}\ndata: {data}\n\n"


def _id_of(told: dict[uuid.UUID, Heard]) -> str:
    return ",".join(
        "e" if one.ended else f"{one.attempt}.{one.characters}" if one.attempt else "" for one in told.values()
    )


def told_by(last_event_id: str, run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Heard]:
    """Return what a reader knows by the id of the last event; nothing, where it is no id of a stream of these runs."""
    parts = last_event_id.split(",")
    told = {run_id: Heard() for run_id in run_ids}
    if len(parts) != len(told):
        return told
    for heard, part in zip(told.values(), parts, strict=True):
        position = _POSITION.fullmatch(part)
        if part == "e":
            heard.ended = True
        elif position:
            heard.attempt, heard.characters = int(position[1]), int(position[2])
    return told


async def _first_of(one: asyncio.Event, other: asyncio.Event, seconds: float) -> bool:
    """Wait for either event; return False when the time was over before."""
    waiting = {asyncio.ensure_future(event.wait()) for event in (one, other)}
    try:
        done, _pending = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return bool(done)


@contextlib.asynccontextmanager
async def _disconnection(receive: Receive) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the caller has gone."""
    gone = asyncio.Event()

    async def listen() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass  # what is left of the request's body
        gone.set()

    task = asyncio.get_running_loop().create_task(listen())
    try:
        yield gone
    finally:
        task.cancel()


async def _refuse(answer: _Answer) -> None:
    problem = problem_response(
        Unavailable(_("Too many connections watch runs here at the moment. Ask again in a few seconds."), retry_after=5)
    )
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.items()]
    await answer.replace(503, problem.content, headers)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for one, value in scope["headers"] if one == name), "")


def _close_at_stop(hub: Hub) -> None:
    """A web server that is asked to stop waits for open connections: close them. Clients come back to another one."""
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        loop.call_soon_threadsafe(hub.close)
        if callable(before):
            before(number, frame)

    with contextlib.suppress(ValueError):  # not in the main thread: the connections are cut off then
        signal.signal(signal.SIGTERM, stop)
