"""What is remembered, what is forgotten, what is never kept: around real Django, with the timing in the test's hand.

The application behind the cache is all of Django on this worker's database; the tests only hold its answers back.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from promptops.core.change_watch import Look
from promptops.prompts.models import PromptVersion
from promptops.prompts.services import create_version, move_label
from promptops.resolve_cache import ResolveCache
from promptops.resolve_memory import Answer, Note, ResolveMemory
from tests.people import GREETING, Team, make_team

PATH = "/api/v1/prompts/greeting/resolve"


# --- Around Django -------------------------------------------------------------------------------------------------


@dataclass
class Held:
    """Django, whose answers can be held back after they were computed."""

    computed: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from promptops.asgi import django_in_threads

        events: list[Any] = []

        async def hold(event: Any) -> None:
            events.append(event)

        await django_in_threads(scope, receive, hold)
        self.computed += 1
        await self.may_answer.wait()
        for event in events:
            await send(event)


@dataclass
class Scene:
    team: Team
    first: PromptVersion
    second: PromptVersion
    secret: str


@dataclass
class Around:
    """The cache around held Django, looking at the feed."""

    django: Held
    cache: ResolveCache
    secret: str

    async def get(self, path: str = PATH) -> tuple[int, bytes]:
        status, body = 0, b""

        async def send(event: Any) -> None:
            nonlocal status, body
            status, body = event.get("status", status), body + event.get("body", b"")

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        await self.cache(request(path, self.secret), receive, send)
        return status, body

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)


def request(path: str, secret: str) -> dict[str, Any]:
    headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {secret}".encode())]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "server": ("127.0.0.1", "80"),
        "client": ("127.0.0.1", "1"),
    }


@pytest.fixture
def scene(transactional_db: None) -> Scene:
    team = make_team()
    first = team.prompt()
    second, _is_new = create_version(team.actor("editor"), first.prompt, {**GREETING, "parameters": {}})
    move_label(team.actor("editor"), first.prompt, "production", first)
    return Scene(team, first, second, team.token())


@pytest.fixture
async def around(scene: Scene) -> AsyncIterator[Around]:
    django = Held()
    cache = ResolveCache(django)
    cache.watch.start()
    around = Around(django, cache, scene.secret)
    await cache.watch.look_now(5)
    yield around
    django.may_answer.set()
    await asyncio.to_thread(cache.watch.stop)


async def moved_to(scene: Scene, version: PromptVersion) -> None:
    def move() -> None:
        move_label(scene.team.actor("editor"), scene.first.prompt, "production", version)
        connections.close_all()

    await sync_to_async(move)()


async def test_it_does_not_keep_an_answer_that_was_computed_before_a_change_and_came_after_it(
    scene: Scene, around: Around
) -> None:
    asked = asyncio.create_task(around.get())
    await around.until(lambda: around.django.computed == 1)
    await moved_to(scene, scene.second)
    await around.cache.watch.look_now(5)  # the change is heard while nothing of the project is remembered yet
    around.django.may_answer.set()
    _status, old = await asked
    assert b'"version":1' in old  # right when it was asked for

    _status, new = await around.get()
    assert b'"version":2' in new
    assert len(around.cache.memory) == 1
    assert around.django.computed == 2
    await around.get()
    assert around.django.computed == 2


async def test_it_keeps_an_answer_when_only_another_project_changed(scene: Scene, around: Around) -> None:
    asked = asyncio.create_task(around.get())
    await around.until(lambda: around.django.computed == 1)

    def elsewhere() -> None:
        make_team("elsewhere").prompt()
        connections.close_all()

    await sync_to_async(elsewhere)()
    await around.cache.watch.look_now(5)
    around.django.may_answer.set()
    await asked
    await around.get()
    assert around.django.computed == 1


async def test_it_asks_once_for_all_who_ask_the_same_at_once(around: Around) -> None:
    crowd = [asyncio.create_task(around.get()) for _number in range(20)]
    await around.until(lambda: around.django.computed == 1)
    await asyncio.sleep(0.05)
    around.django.may_answer.set()
    answers = await asyncio.gather(*crowd)
    assert {status for status, _body in answers} == {200}
    assert len(set(answers)) == 1
    assert around.django.computed == 1


async def test_whoever_waits_for_an_error_asks_for_itself(around: Around) -> None:
    around.django.may_answer.set()
    answers = await asyncio.gather(*(around.get("/api/v1/prompts/nobody/resolve") for _number in range(5)))
    assert {status for status, _body in answers} == {404}
    assert len(around.cache.memory) == 0
    assert around.django.computed == 5


async def test_one_caller_that_goes_away_does_not_take_the_others_along(around: Around) -> None:
    first = asyncio.create_task(around.get())
    await around.until(lambda: around.django.computed == 1)
    others = [asyncio.create_task(around.get()) for _number in range(3)]
    await asyncio.sleep(0.05)
    first.cancel()
    around.django.may_answer.set()
    assert {status for status, _body in await asyncio.gather(*others)} == {200}


# --- The memory alone ----------------------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def memory(*, limit: int = 1_000_000, stale_seconds: float = 60) -> tuple[ResolveMemory, Clock]:
    clock = Clock()
    made = ResolveMemory(limit=limit, stale_seconds=stale_seconds, clock=clock)
    made.hear(Look(clock.now, projects=None))
    return made, clock


def answer(body: bytes = b"{}", *, project: int = 1, expires: float | None = None) -> Answer:
    headers = [(b"content-type", b"application/json; charset=utf-8"), (b"etag", b'"%d"' % len(body))]
    return Answer(200, headers, body, '"tag"', Note(project=project, token=7, expires=expires))


def key(number: int = 0) -> tuple[bytes, str, bytes]:
    return (number.to_bytes(32, "big"), "/api/v1/prompts/some-prompt/resolve", b"label=production")


def test_it_stays_within_its_limit_and_forgets_what_was_not_asked_for_longest() -> None:
    limit = 4_000_000
    made, _clock = memory(limit=limit)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(5_000):
        made.put(key(number), answer(bytes(1_400)), made.moment())
        assert made.get(key(0)) is not None  # in use all the time
        assert made.size <= limit
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 500 < len(made) < 5_000
    assert grown < limit * 1.1, f"{grown} bytes for {len(made)} answers"
    assert made.get(key(4_999)) is not None
    assert made.get(key(1)) is None


def test_it_does_not_let_one_huge_answer_displace_the_others() -> None:
    made, _clock = memory(limit=100_000)
    made.put(key(1), answer(), made.moment())
    made.put(key(2), answer(bytes(60_000)), made.moment())
    assert made.get(key(2)) is None
    assert made.get(key(1)) is not None


def test_it_frees_all_that_it_counted() -> None:
    made, _clock = memory()
    for number in range(20):
        made.put(key(number), answer(project=number % 2), made.moment())
        made.put(key(number), answer(b"other", project=number % 2), made.moment())
    made.hear(Look(100.0, projects=frozenset({1})))
    assert len(made) == 10
    made.hear(Look(100.0, projects=None))
    assert len(made) == 0
    assert made.size == 0


def test_it_answers_nothing_that_was_not_looked_after_for_a_second() -> None:
    made, clock = memory()
    made.put(key(), answer(), made.moment())
    clock.now += 0.9
    assert made.get(key()) is not None
    clock.now += 0.2
    assert made.get(key()) is None  # the thread is late: whether it changed is not known
    made.hear(Look(clock.now))
    assert made.get(key()) is not None


def test_it_answers_what_is_stale_only_while_the_database_is_known_to_be_away() -> None:
    made, clock = memory(stale_seconds=60)
    made.put(key(), answer(), made.moment())
    clock.now += 5
    assert made.get(key()) is None
    made.hear(Look(clock.now, failed=True))
    assert made.get(key()) is not None
    clock.now += 54
    assert made.get(key()) is not None
    clock.now += 2
    assert made.get(key()) is None


def test_it_can_be_told_to_answer_nothing_stale() -> None:
    made, clock = memory(stale_seconds=0)
    made.put(key(), answer(), made.moment())
    made.hear(Look(clock.now, failed=True))
    clock.now += 0.5
    assert made.get(key()) is not None
    clock.now += 0.6
    assert made.get(key()) is None


def test_it_answers_nothing_before_the_first_look() -> None:
    made = ResolveMemory(limit=1_000_000, stale_seconds=60, clock=Clock())
    made.put(key(), answer(), made.moment())
    assert made.get(key()) is None
