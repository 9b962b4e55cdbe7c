"""The background thread of a web process: what it tells the event loop, and when it says that it cannot tell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connections

from promptops.core import changes
from promptops.core.change_watch import FORGET_SECONDS, ChangeWatch, Look, clock
from tests.people import Team, make_team

pytestmark = pytest.mark.django_db(transaction=True)


class Listener:
    """Hears looks, and counts what is done aside."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.threads: set[str] = set()
        self.last_times = 0
        self.watch = ChangeWatch(self.looks.append, self._aside)

    def _aside(self, connection: object, ending: bool) -> None:
        self.threads.add(threading.current_thread().name)
        self.last_times += ending


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.watch.stop()


@sync_to_async
def prompt_of(slug: str) -> Team:
    team = make_team(slug)
    team.prompt()
    connections.close_all()
    return team


async def test_it_tells_which_project_changed_and_then_that_none_did(listener: Listener) -> None:
    team = await prompt_of("one")
    listener.watch.start()
    listener.watch.start()  # again harmless
    await listener.watch.look_now(5)
    assert listener.looks[0].projects is None, "at first everything may have changed"
    elsewhere = await prompt_of("two")
    await listener.watch.look_now(5)
    told = frozenset().union(*(look.projects or () for look in listener.looks))
    assert elsewhere.project.pk in told
    assert team.project.pk not in told
    await listener.watch.look_now(5)
    assert listener.looks[-1].projects == frozenset()
    assert [look.began for look in listener.looks] == sorted(look.began for look in listener.looks)
    assert listener.threads == {"change-watch"}


async def test_it_looks_by_itself(listener: Listener) -> None:
    listener.watch.start()
    async with asyncio.timeout(10):
        while len(listener.looks) < 3:
            await asyncio.sleep(0.02)
    assert listener.looks[2].began - listener.looks[1].began < 1


async def test_it_waits_no_longer_than_it_is_told(listener: Listener) -> None:
    await asyncio.wait_for(listener.watch.look_now(5), 1)  # nobody looks yet: there is nothing to wait for


async def test_it_does_what_is_aside_a_last_time_when_it_ends(listener: Listener) -> None:
    listener.watch.start()
    await listener.watch.look_now(5)
    assert listener.last_times == 0
    await asyncio.to_thread(listener.watch.stop)
    assert listener.last_times == 1


def test_it_cannot_tell_what_it_missed_in_a_long_sleep() -> None:
    watch = Listener().watch
    now = clock()
    assert watch._look(now).projects is None
    assert watch._look(now + 1).projects == frozenset()
    assert watch._look(now + 2 + FORGET_SECONDS).projects is None
    watch._disconnect()


def test_it_trusts_nothing_from_before_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Listener().watch
    now = clock()
    assert watch._look(now).projects is None
    look = changes.look

    def broken(*args: object, **options: object) -> changes.Changes:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(changes, "look", broken)
    assert watch._look(now + 1) == Look(now + 1, failed=True)
    monkeypatch.setattr(changes, "look", look)
    assert watch._look(now + 2).projects is None  # perhaps another server, of which nothing is known
    watch._disconnect()
