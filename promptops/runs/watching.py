"""Watching runs from a web process: one reader of Valkey and one of the database for everybody who watches.

Valkey tells at once and may be wrong about nothing but silence: it may be away, be emptied, or miss an end. So the
database is asked too, for all watched runs together: every second, and at once when Valkey says that a run has ended.
What a watcher hears is put together from both (``watcher``).

Everything here runs on the web process's event loop, but for the questions to the database, which run on one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio as redis
from django.db import connection

from promptops.core.rest import dumps
from promptops.runs.events import ENDED, STARTED, TOKEN, WATCH_SECONDS, channel_of, run_id_of, wait_key_of, watch_key_of
from promptops.runs.models import Run, Status
from promptops.runs.representation import whole_runs
from promptops.runs.storable import storable_text
from promptops.runs.watcher import Heard, State, Watcher

LOOK_SECONDS = 1.0
"""How often the database is asked about every watched run."""

TOGETHER_SECONDS = 0.02
"""Pieces, and ends, that come within this time are handled together."""

BLOCK_MILLISECONDS = 50
"""How long a read of Valkey waits: the streams of new watchers are in the next one."""

PIECES_AT_ONCE = 500
RENEW_SECONDS = 3.0
"""How soon an emptied Valkey is noticed: the watch key is gone then."""

VALKEY_SECONDS = 2.0
AGAIN_SECONDS = 1.0
"""After a failure; and how often a lost piece is asked for again."""

LINGER_SECONDS = 20.0
"""How long the readers stay after the last watcher has gone."""

logger = logging.getLogger(__name__)


@dataclass
class _Watched:
    """A run that somebody watches."""

    watchers: set[Watcher] = field(default_factory=set)
    position: str = "0-0"
    renew_at: float = 0.0
    missing: bool = False
    ask_again_at: float = 0.0

    @property
    def tokens(self) -> bool:
        return any(watcher.tokens for watcher in self.watchers)

    def ask_for_all(self) -> None:
        """A piece is missing: have the worker tell the whole text again."""
        now = time.monotonic()
        if now >= self.ask_again_at:
            self.missing, self.renew_at, self.ask_again_at = True, 0.0, now + AGAIN_SECONDS


class Hub:
    """All watchers of one web process. Its tasks run while there are any."""

    def __init__(self, valkey_url: str) -> None:
        self._url = valkey_url
        self._watched: dict[uuid.UUID, _Watched] = {}
        self._hinted: set[uuid.UUID] = set()
        self._hint = asyncio.Event()
        self._unmarked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._left_at = 0.0
        self._database = ThreadPoolExecutor(1, thread_name_prefix="watching")
        self._complained_at = dict.fromkeys(("Valkey", "the database"), -60.0)
        self.watchers: set[Watcher] = set()

    def watch(self, heard: Mapping[uuid.UUID, Heard], *, tokens: bool = True) -> Watcher:
        """Return a watcher of these runs; ``leave`` has to be called in the end. Who asks was allowed to see them.

        Args:
            heard: by run, what is known already.
            tokens: False: only the ends.
        """
        watcher = Watcher(heard, tokens=tokens)
        self.watchers.add(watcher)
        going_on = [run_id for run_id, one in heard.items() if not one.ended]
        for run_id in going_on:
            watched = self._watched.setdefault(run_id, _Watched())
            watched.watchers.add(watcher)
            # From the beginning: who has heard it does not hear it again.
            watched.position, watched.renew_at = "0-0", 0.0
        self._look_at(going_on)
        self._unmarked.set()
        if not self._tasks:
            loop = asyncio.get_running_loop()
            work = (self._look(), self._with_valkey(self._mark), self._with_valkey(self._read))
            self._tasks = [loop.create_task(one) for one in work]
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self.watchers.discard(watcher)
        for run_id in watcher.heard:
            self._forget(run_id, watcher)
        if not self._watched:
            self._left_at = time.monotonic()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self._stop_if_idle)

    def close(self) -> None:
        """Let everybody go: the process is about to stop."""
        for watcher in self.watchers:
            watcher.close()

    def _stop_if_idle(self) -> None:
        if not self._watched and time.monotonic() - self._left_at >= LINGER_SECONDS - 0.1:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self._database.submit(connection.close)

    async def run_json(self, run_id: uuid.UUID) -> str:
        """Return a run as JSON, as it is now."""
        return str(await self._ask(_json_of, run_id))

    # --- The database ---------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        all_at = 0.0
        while True:
            try:
                await asyncio.wait_for(self._hint.wait(), max(0.0, all_at - loop.time()))
                await asyncio.sleep(TOGETHER_SECONDS)
            except TimeoutError:
                self._hinted.update(self._watched)
                all_at = loop.time() + LOOK_SECONDS
            self._hint.clear()
            run_ids, self._hinted = self._hinted, set()
            if not run_ids:
                continue
            try:
                states = await self._ask(states_of, run_ids)
                for run_id in run_ids:
                    self._hear_state(run_id, states.get(run_id))
            except Exception as error:
                self._complain("the database", error)
                await asyncio.sleep(AGAIN_SECONDS)

    def _look_at(self, run_ids: Collection[uuid.UUID]) -> None:
        self._hinted.update(run_ids)
        self._hint.set()

    def _hear_state(self, run_id: uuid.UUID, state: State | None) -> None:
        watched = self._watched.get(run_id)
        if watched is None:
            return
        for watcher in list(watched.watchers):
            if state is None:  # erased meanwhile: there is nothing to tell
                watcher.heard[run_id].ended = True
                watcher.wake.set()
            else:
                watcher.hear_state(run_id, state)
            if watcher.heard[run_id].ended:
                self._forget(run_id, watcher)

    def _forget(self, run_id: uuid.UUID, watcher: Watcher) -> None:
        watched = self._watched.get(run_id)
        if watched is not None:
            watched.watchers.discard(watcher)
            if not watched.watchers:
                del self._watched[run_id]

    async def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._database, _asked, question, *arguments)

    # --- Valkey ---------------------------------------------------------------------------------------------------

    async def _with_valkey(self, work: Callable[[redis.Redis], Awaitable[None]]) -> None:
        client = redis.Redis.from_url(
            self._url,
            socket_timeout=VALKEY_SECONDS,
            socket_connect_timeout=VALKEY_SECONDS,
            decode_responses=True,
            protocol=2,  # the form of XREAD's answer differs
        )
        try:
            while True:
                try:
                    await work(client)
                except Exception as error:  # whatever it is, the database still tells every end
                    self._complain("Valkey", error)
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await client.aclose()

    async def _mark(self, client: redis.Redis) -> None:
        """Set or renew the keys by which workers know that somebody watches."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unmarked.wait(), RENEW_SECONDS / 3)
        self._unmarked.clear()
        now = time.monotonic()
        due = [(run_id, one) for run_id, one in self._watched.items() if one.renew_at <= now]
        if not due:
            return
        pipeline = client.pipeline(transaction=False)
        for run_id, watched in due:
            if watched.tokens:
                # A new value has the worker tell all of the text again; without need it counts only where none is.
                key = watch_key_of(run_id)
                pipeline.set(key, secrets.token_hex(4), ex=WATCH_SECONDS, nx=not watched.missing)
                pipeline.expire(key, WATCH_SECONDS)
            else:
                pipeline.set(wait_key_of(run_id), "1", ex=WATCH_SECONDS)
        await pipeline.execute()
        # An end before the key was there has been told to nobody; one behind it is told.
        self._look_at([run_id for run_id, watched in due if not watched.renew_at])
        for _run_id, watched in due:
            watched.renew_at, watched.missing = now + RENEW_SECONDS, False

    async def _read(self, client: redis.Redis) -> None:
        positions: dict[Any, Any] = {channel_of(run_id): one.position for run_id, one in self._watched.items()}
        if not positions:
            await asyncio.sleep(BLOCK_MILLISECONDS / 1000)
            return
        answer: Any = await client.xread(positions, count=PIECES_AT_ONCE, block=BLOCK_MILLISECONDS)
        for channel, entries in answer:
            run_id = run_id_of(channel)
            watched = self._watched.get(run_id)
            # Somebody may have joined while the answer was on its way: then everything is read again.
            if watched is None or watched.position != positions[channel]:
                continue
            for position, fields in entries:
                watched.position = position
                self._hear(run_id, watched, fields["event"], json.loads(fields["data"]))
        if answer:
            await asyncio.sleep(TOGETHER_SECONDS)

    def _hear(self, run_id: uuid.UUID, watched: _Watched, name: str, content: Mapping[str, Any]) -> None:
        if name == ENDED:
            self._look_at([run_id])
        for watcher in watched.watchers:
            if name == STARTED:
                watcher.hear_start(run_id, content["attempt"], content["started_at"])
            elif name == TOKEN:
                text = storable_text(content["text"])
                if not watcher.hear_text(run_id, content["attempt"], text, content["offset"]):
                    watched.ask_for_all()
                    self._unmarked.set()

    def _complain(self, what: str, error: Exception) -> None:
        if time.monotonic() - self._complained_at[what] > 60:
            self._complained_at[what] = time.monotonic()
            logger.warning("Runs are watched without %s for a while: %s: %s", what, type(error).__name__, error)


def states_of(run_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, State]:
    """Return how far runs are, by ids that somebody was allowed to see; what is not there (any more) is left out."""
    names = ("pk", "status", "attempt_count", "started_at")
    rows = Run.objects.filter(pk__in=run_ids).values_list(*names)
    states, ended = {}, []
    for run_id, status, attempt, started_at in rows:
        states[run_id] = State(attempt, started_at.isoformat() if started_at else None)
        if Status(status).is_terminal:
            ended.append(run_id)
    for run, content in whole_runs(ended) if ended else []:
        open_state = states[run.pk]
        states[run.pk] = State(open_state.attempt, open_state.started_at, content["output"] or "", dumps(content))
    return states


def _json_of(run_id: uuid.UUID) -> str:
    ((_run, content),) = whole_runs([run_id])
    return dumps(content)


def _asked(question: Callable[..., Any], *arguments: Any) -> Any:
    """On the database's thread: a connection that broke is not used again."""
    try:
        return question(*arguments)
    except Exception:
        connection.close()
        raise
