"""What somebody who watches runs hears, put together from pieces that may come twice, late, or with a gap. Pure.

A watcher knows of each run the attempt and the number of characters of its text that it has heard. By that it passes on
only what is new and follows on what was, whoever tells it: Valkey, or the database.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

MAX_PENDING = 4_000_000
"""Characters that wait for a watcher who does not read; one who has more is let go, and may come back."""


@dataclass(frozen=True)
class Started:
    """A call began: the text begins anew. ``started_at`` is ISO 8601."""

    run_id: uuid.UUID
    attempt: int
    started_at: str | None


@dataclass(frozen=True)
class Token:
    """The next piece of the text; ``offset`` counts the characters before it."""

    run_id: uuid.UUID
    attempt: int
    text: str
    offset: int


@dataclass(frozen=True)
class Ended:
    """The run has ended; ``run`` is all of it as JSON."""

    run_id: uuid.UUID
    run: str


Event = Started | Token | Ended


@dataclass
class Heard:
    """What a watcher has heard of a run: the text of which attempt, and how many characters of it."""

    attempt: int = 0
    characters: int = 0
    ended: bool = False


@dataclass(frozen=True)
class State:
    """What the database says of a run; ``run`` is its JSON when it has ended, and None before."""

    attempt: int
    started_at: str | None
    output: str = ""
    run: str | None = None


class Watcher:
    """Somebody who watches some runs: ``wake`` is set when ``take`` has something, or nothing more will come."""

    def __init__(self, heard: Mapping[uuid.UUID, Heard], *, tokens: bool) -> None:
        self.heard = dict(heard)
        self.tokens = tokens
        self.wake = asyncio.Event()
        self.closed = False
        self._events: deque[Event] = deque()
        self._pending = 0

    @property
    def finished(self) -> bool:
        """Whether all its runs have ended."""
        return all(one.ended for one in self.heard.values())

    def take(self) -> list[Event]:
        """Return what there is to tell; adjacent pieces of a text are one."""
        self.wake.clear()
        events = list(self._events)
        self._events.clear()
        self._pending = 0
        return events

    def close(self) -> None:
        """Nothing more will come, although not all has ended."""
        self.closed = True
        self.wake.set()

    def hear_start(self, run_id: uuid.UUID, attempt: int, started_at: str | None) -> None:
        heard = self.heard[run_id]
        if not heard.ended and attempt > heard.attempt:
            heard.attempt, heard.characters = attempt, 0
            if self.tokens:
                self._tell(Started(run_id, attempt, started_at))

    def hear_text(self, run_id: uuid.UUID, attempt: int, text: str, offset: int) -> bool:
        """Take a piece of the text; return False where a piece before it is missing."""
        heard = self.heard[run_id]
        if not self.tokens or heard.ended or attempt < heard.attempt:
            return True
        self.hear_start(run_id, attempt, None)
        if offset > heard.characters:
            return False
        news = text[heard.characters - offset :]
        if news:
            before, heard.characters = heard.characters, heard.characters + len(news)
            last = self._events[-1] if self._events else None
            if isinstance(last, Token) and last.run_id == run_id:
                self._events[-1] = Token(run_id, attempt, last.text + news, last.offset)
            else:
                self._tell(Token(run_id, attempt, news, before))
            self._pending += len(news)
            if self._pending > MAX_PENDING:
                self.close()
        return True

    def hear_state(self, run_id: uuid.UUID, state: State) -> None:
        heard = self.heard[run_id]
        if heard.ended:
            return
        if state.started_at is not None:
            self.hear_start(run_id, state.attempt, state.started_at)
        if state.run is not None:
            self.hear_text(run_id, heard.attempt, state.output, 0)
            heard.ended = True
            self._tell(Ended(run_id, state.run))

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self.wake.set()
