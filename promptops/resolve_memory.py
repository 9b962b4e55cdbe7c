"""What a web process remembers of `resolve`: whole answers, by the bytes of the request that they answer.

Touched by one thread only, that of the event loop. It knows nothing of HTTP servers: see `promptops/resolve_cache.py`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from promptops.core.change_watch import Look

FRESH_SECONDS = 1.0  # no answer is given from memory whose last look is older
ENTRY_BYTES = 1_500  # what Python needs for an entry beside its texts, measured
LARGEST_SHARE = 0.125  # of the memory, for one answer

Key = tuple[bytes, str, bytes]
Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Note:
    """Whose answer it is: the project that may change it, the token that asked, and when that expires (Unix time)."""

    project: int
    token: int
    expires: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``etag`` is None where there is none to compare (a redirect)."""

    status: int
    headers: list[Header]
    body: bytes
    etag: str | None
    note: Note

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        return ENTRY_BYTES + len(self.body) + sum(len(name) + len(value) for name, value in self.headers)


class ResolveMemory:
    """The most recently asked answers that fit into ``limit`` bytes.

    ``stale_seconds``: for how long answers are still given while the database cannot be asked whether they are right.
    """

    def __init__(self, *, limit: int, stale_seconds: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.stale_seconds = stale_seconds
        self.size = 0
        self._clock = clock
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._keys: dict[int, set[Key]] = {}  # by project
        self._right_at = float("-inf")  # everything here was right at this moment
        self._away = False
        self._looks = 0
        self._changed: dict[int, int] = {}  # by project: the number of the last look that told of a change
        self._all_changed = 0

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: Key) -> Answer | None:
        """Return the answer if it may be given now."""
        answer = self._answers.get(key)
        if answer is None:
            return None
        age = self._clock() - self._right_at
        if age > FRESH_SECONDS and not (self._away and age <= self.stale_seconds):
            return None
        if answer.note.expires is not None and answer.note.expires <= time.time():
            self._drop(key)
            return None
        self._answers.move_to_end(key)
        return answer

    def moment(self) -> int:
        """What to pass to `put` of an answer that is about to be computed."""
        return self._looks

    def put(self, key: Key, answer: Answer, asked: int) -> None:
        """Keep an answer, unless its project has changed since `moment` returned ``asked``: it may be older."""
        project = answer.note.project
        if max(self._changed.get(project, 0), self._all_changed) > asked:
            return
        self._drop(key)
        size = _size(key, answer)
        if size > self.limit * LARGEST_SHARE:
            return
        self._answers[key] = answer
        self._keys.setdefault(project, set()).add(key)
        self.size += size
        while self.size > self.limit:
            self._drop(next(iter(self._answers)))

    def hear(self, look: Look) -> None:
        """Forget what a look says may be wrong."""
        self._looks += 1
        self._away = look.failed
        if look.failed:
            return
        if look.projects is None:
            self._all_changed = self._looks
            self._changed.clear()
            self._answers.clear()
            self._keys.clear()
            self.size = 0
        else:
            for project in look.projects:
                self._changed[project] = self._looks
                self._drop_all(self._keys.get(project, ()))
        self._right_at = look.began

    def _drop_all(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            self._drop(key)

    def _drop(self, key: Key) -> None:
        answer = self._answers.pop(key, None)
        if answer is None:
            return
        self.size -= _size(key, answer)
        keys = self._keys[answer.note.project]
        keys.discard(key)
        if not keys:
            del self._keys[answer.note.project]


def _size(key: Key, answer: Answer) -> int:
    return answer.size + len(key[0]) + len(key[1]) + len(key[2])
