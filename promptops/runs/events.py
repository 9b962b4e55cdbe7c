"""What a watcher of a run hears: ``started``, ``token`` …, ``ended``. Names, keys, and the publishing side.

Valkey carries hints, never the truth: a stream exists only while somebody watches, is short-lived, and may vanish; who
reads it (``watching``) also looks into the database. A reader sets the run's watch key; the worker sees it at its next
flush, begins with the whole text so far, and goes on in pieces of about 50 ms. It begins with the whole text again
whenever the key has another value: so a reader that found a piece missing asks for it, and whoever sets the key because
Valkey lost it (``NX``, with a new value) does too. Who waits for the end alone sets the wait key instead.

    started  {"run", "attempt", "started_at"}       the text begins anew; when this call began
    token    {"run", "attempt", "text", "offset"}   ``offset`` counts the characters before this piece
    ended    {"run"}                                look into the database
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import time
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import redis.asyncio as redis

STARTED = "started"
TOKEN = "token"  # noqa: S105
ENDED = "ended"

FLUSH_SECONDS = 0.05
WATCH_SECONDS = 30
STREAM_SECONDS = 600
STREAM_LENGTH = 20_000
VALKEY_SECONDS = 1.0
"""Longer than this Valkey may not keep a worker's publisher waiting."""

logger = logging.getLogger(__name__)


def channel_of(run_id: uuid.UUID | str) -> str:
    """The Valkey stream of a run's events."""
    return f"run:{run_id}:events"


def watch_key_of(run_id: uuid.UUID | str) -> str:
    """The key that is there while somebody watches the run."""
    return f"run:{run_id}:watch"


def wait_key_of(run_id: uuid.UUID | str) -> str:
    """The key that is there while somebody waits for the run's end, and for nothing else."""
    return f"run:{run_id}:wait"


def run_id_of(channel: str) -> uuid.UUID:
    """The run of a channel. Raises ValueError for anything else."""
    prefix, run_id, suffix = channel.split(":")
    if (prefix, suffix) != ("run", "events"):
        raise ValueError(f"{channel!r} is no channel of a run")
    return uuid.UUID(run_id)


@dataclass
class _Told:
    """The text of a running call, and how much of it the stream has since the watch key got its value (``mark``)."""

    attempt: int
    started_at: str
    mark: str = ""
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    sent: int = 0
    announced: bool = False

    def begin_anew(self) -> None:
        """It is unknown what arrived: the next flush tells everything from the start."""
        self.sent, self.announced = 0, False

    def rest(self) -> str:
        text = "".join(self.pieces)
        self.pieces = [text]
        return text[self.sent :]


class Publisher:
    """Gathers what the calls of one event loop produce and publishes it for those who watch."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_timeout=VALKEY_SECONDS, socket_connect_timeout=VALKEY_SECONDS, decode_responses=True
        )
        self._runs: dict[uuid.UUID, _Told] = {}
        self._changed: set[uuid.UUID] = set()
        self._ended: set[uuid.UUID] = set()
        self._wake = asyncio.Event()
        self._silent_until = 0.0

    def begin(self, run_id: uuid.UUID, attempt: int) -> None:
        self._runs[run_id] = _Told(attempt, dt.datetime.now(dt.UTC).isoformat())
        self._changed.add(run_id)
        self._wake.set()

    def text(self, run_id: uuid.UUID, text: str) -> None:
        told = self._runs.get(run_id)
        if told is not None:
            told.pieces.append(text)
            told.length += len(text)
            self._changed.add(run_id)
            self._wake.set()

    def ended(self, run_ids: Iterable[uuid.UUID]) -> None:
        """To be called when the end stands in the database."""
        self._ended.update(run_ids)
        self._wake.set()

    def forget(self, run_id: uuid.UUID) -> None:
        """The call is over without an end of the run: it goes on elsewhere, or with another attempt."""
        self._runs.pop(run_id, None)

    async def publish_for_ever(self) -> None:
        """Flush as long as the loop lives. Without Valkey nothing is published, and nothing else changes."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()
            await asyncio.sleep(FLUSH_SECONDS)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _flush(self) -> None:
        changed, ended = list(self._changed), list(self._ended)
        self._changed.clear()
        self._ended.clear()
        if time.monotonic() < self._silent_until:
            for run_id in ended:
                self._runs.pop(run_id, None)
            return
        run_ids = list(dict.fromkeys([*changed, *ended]))
        keys = [watch_key_of(run_id) for run_id in run_ids] + [wait_key_of(run_id) for run_id in ended]
        try:
            values = await self._client.mget(keys)
            marks = {run_id: str(mark) for run_id, mark in zip(run_ids, values, strict=False) if mark}
            awaited = {run_id for run_id, value in zip(ended, values[len(run_ids) :], strict=True) if value}
            await self._publish(marks, {run_id for run_id in ended if run_id in marks or run_id in awaited})
        except (redis.RedisError, OSError, TimeoutError) as error:
            logger.warning("Tokens are not streamed for a while: %s", error)
            self._silent_until = time.monotonic() + VALKEY_SECONDS
            for run_id in changed:
                if run_id in self._runs:
                    self._runs[run_id].begin_anew()
        finally:
            for run_id in ended:
                self._runs.pop(run_id, None)

    async def _publish(self, marks: Mapping[uuid.UUID, str], ended: Collection[uuid.UUID]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for run_id in {*marks, *ended}:
            channel = channel_of(run_id)
            told = self._runs.get(run_id) if run_id in marks else None
            for name, content in [] if told is None else _news(told, str(run_id), marks[run_id]):
                pipeline.xadd(channel, {"event": name, "data": json.dumps(content)}, maxlen=STREAM_LENGTH)
            if run_id in ended:
                content = {"run": str(run_id)}
                pipeline.xadd(channel, {"event": ENDED, "data": json.dumps(content)}, maxlen=STREAM_LENGTH)
            pipeline.expire(channel, STREAM_SECONDS)
        await pipeline.execute()


def _news(told: _Told, run_id: str, mark: str) -> list[tuple[str, dict[str, object]]]:
    if told.mark != mark:
        told.begin_anew()
        told.mark = mark
    news: list[tuple[str, dict[str, object]]] = []
    if not told.announced:
        told.announced = True
        news.append((STARTED, {"run": run_id, "attempt": told.attempt, "started_at": told.started_at}))
    if told.sent < told.length:
        piece = {"run": run_id, "attempt": told.attempt, "text": told.rest(), "offset": told.sent}
        news.append((TOKEN, piece))
        told.sent = told.length
    return news
