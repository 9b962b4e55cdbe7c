"""The one background thread of a web process: it reads the change feed twice a second and tells an event loop.

Everything that it finds out is handed to the loop as a `Look`, one after the other, so whoever keeps answers in memory
needs no lock. It has a database connection of its own: a pool that is used up, or waits, cannot delay it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from promptops.core import changes

LOOK_SECONDS = 0.5
LONGEST_DELAY = 2.0  # between attempts while the database is away
TIMEOUT_SECONDS = 2  # of connecting and of one look: a server that does not answer counts as away
APPLICATION_NAME = "promptops-change-watch"  # in pg_stat_activity
FORGET_SECONDS = 600.0  # a process that slept longer (a paused machine) cannot tell what it missed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What one look at the feed found.

    ``began`` is when it began (seconds of `clock`): every change that was committed before is told by now.
    ``projects`` are those that changed since the last look; None: no telling, everything may have.
    ``failed``: the database could not be asked, so nothing is known.
    """

    began: float
    projects: frozenset[int] | None = frozenset()
    failed: bool = False


def clock() -> float:
    """Seconds that also pass while the machine is suspended, where the system can tell (Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class ChangeWatch:
    """Looks until it is stopped. ``heard`` is called in the loop, in the order of the looks.

    ``aside`` is called in the thread after a look that succeeded, with the thread's own connection and whether it is
    the last time: for small writes that need not be on time.
    """

    def __init__(self, heard: Callable[[Look], None], aside: Callable[[BaseDatabaseWrapper, bool], object]) -> None:
        self._heard = heard
        self._aside = aside
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._waiting: list[tuple[float, asyncio.Future[None]]] = []  # touched in the loop only
        # Of the thread only:
        self._connection: BaseDatabaseWrapper | None = None
        self._seen: str | None = None
        self._last = 0.0  # when the last look that succeeded began
        self._away_since: float | None = None

    def start(self) -> None:
        """Begin to look, and tell the running loop. Again harmless."""
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, args=[loop], name="change-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, after a last call of ``aside``. Waits for it at most as long as a look takes."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(TIMEOUT_SECONDS + 1)

    async def look_now(self, seconds: float) -> None:
        """Look at once; return when that look (or a later one) was heard, after ``seconds`` in any case."""
        if self._thread is None:
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((clock(), done))
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done, seconds)

    def _hear(self, look: Look) -> None:
        self._heard(look)
        answered = [done for asked, done in self._waiting if asked <= look.began]
        self._waiting = [(asked, done) for asked, done in self._waiting if asked > look.began and not done.done()]
        for done in answered:
            if not done.done():
                done.set_result(None)

    # --- The thread ------------------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        delay = LOOK_SECONDS
        while True:
            self._wake.clear()
            ending = self._stopping
            began = clock()
            look = self._look(began)
            with contextlib.suppress(RuntimeError):  # the loop is closed already: the process ends
                loop.call_soon_threadsafe(self._hear, look)
            if self._connection is not None:
                self._do_aside(self._connection, ending)
            if ending:
                break
            delay = min(delay * 2, LONGEST_DELAY) if look.failed else LOOK_SECONDS
            self._wake.wait(max(0.0, began + delay - clock()))
        self._disconnect()

    def _look(self, began: float) -> Look:
        if self._connection is not None and began - self._last > FORGET_SECONDS:
            self._disconnect()
        try:
            found = changes.look(self._seen, using=self._connection or self._connect())
        except Exception as error:  # whatever it was, the thread lives on and asks again
            self._lost(began, error)
            return Look(began, failed=True)
        self._seen, self._last = found.snapshot, began
        if self._away_since is not None:
            logger.info("The change feed is read again, after %.1f s", began - self._away_since)
            self._away_since = None
        return Look(began, found.projects)

    def _connect(self) -> BaseDatabaseWrapper:
        connection = connections["default"].copy()
        options = connection.settings_dict["OPTIONS"]
        options.pop("pool", None)
        options |= {"connect_timeout": TIMEOUT_SECONDS, "tcp_user_timeout": TIMEOUT_SECONDS * 1000}
        options["application_name"] = APPLICATION_NAME
        self._connection = connection
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [f"{TIMEOUT_SECONDS}s"])
        return connection

    def _disconnect(self) -> None:
        # A new connection may lead to another server (a replica that took over, a restored one), to which the
        # snapshot of the old one means nothing.
        self._seen = None
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

    def _lost(self, began: float, error: Exception) -> None:
        self._disconnect()
        if self._away_since is None:
            self._away_since = began
            logger.warning("The change feed cannot be read: %s", str(error).strip() or type(error).__name__)

    def _do_aside(self, connection: BaseDatabaseWrapper, ending: bool) -> None:
        try:
            self._aside(connection, ending)
        except Exception:
            logger.exception("What the background thread does aside failed")
