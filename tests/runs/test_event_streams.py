"""The ASGI layer alone: what it passes on, how it bounds, and what a watcher hears when told twice or out of turn."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import MutableMapping
from typing import Any

import pytest

from promptops import event_streams
from promptops.core.streaming import STREAM_HEADER, WAIT_HEADER
from promptops.event_streams import EventStreams, told_by
from promptops.runs import watcher as watcher_module
from promptops.runs.events import channel_of
from promptops.runs.watcher import Ended, Heard, Started, State, Token, Watcher
from tests.people import Team
from tests.runs.pages import scripted_endpoint, start

RUN = uuid.UUID("0197c6aa-0000-7000-8000-000000000001")
STREAM, WAIT = STREAM_HEADER.lower().encode(), WAIT_HEADER.lower().encode()
SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


def answering(headers: list[tuple[bytes, bytes]], *pieces: bytes, status: int = 200) -> Any:
    """An application with that answer, in these pieces."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return application


def ask(application: Any, scope: dict[str, Any] | None = None, *, stay: float = 10.0) -> list[MutableMapping[str, Any]]:
    """Call it as a server does, for a caller who stays that long (seconds); return what was sent."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(stay)
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(EventStreams(application)({**SCOPE, **(scope or {})}, receive, send))
    return sent


def body_of(sent: list[MutableMapping[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent[1:])


def test_it_passes_other_answers_on_as_they_come() -> None:
    headers = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    sent = ask(answering(headers, b"one", b"two"))

    assert sent[0] == {"type": "http.response.start", "status": 200, "headers": headers}
    assert [message["body"] for message in sent[1:]] == [b"one", b"two", b""]


def test_it_leaves_a_head_request_without_a_stream() -> None:
    headers = [(STREAM, json.dumps([channel_of(RUN)]).encode()), (b"content-length", b"0")]
    sent = ask(answering(headers), {"method": "HEAD"})

    assert sent[0]["headers"] == [(b"content-length", b"0")]
    assert body_of(sent) == b""


def test_it_refuses_more_connections_than_it_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAX_CONNECTIONS", 0)
    refused = ask(answering([(STREAM, json.dumps([channel_of(RUN)]).encode()), (b"vary", b"Cookie")]))

    headers = dict(refused[0]["headers"])
    assert refused[0]["status"] == 503
    assert headers[b"retry-after"] == b"5"
    assert headers[b"vary"] == b"Cookie"
    assert json.loads(body_of(refused))["code"] == "unavailable"

    # Somebody who would wait gets the run as it is.
    waiting = [(WAIT, json.dumps([channel_of(RUN), 5]).encode()), (b"content-type", b"application/json")]
    sent = ask(answering(waiting, b"{}", status=202))
    assert (sent[0]["status"], body_of(sent)) == (202, b"{}")
    assert sent[0]["headers"] == waiting[1:]


@pytest.mark.django_db(transaction=True)
def test_it_sends_signs_of_life_and_closes_after_a_while(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(event_streams, "STREAM_SECONDS", 0.9)
    scripted_endpoint(team)
    team.prompt()
    run = start(team)

    sent = ask(answering([(STREAM, json.dumps([channel_of(run.pk)]).encode()), (b"content-length", b"0")]))

    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream"
    assert headers[b"cache-control"] == b"no-store"
    assert b"content-length" not in headers
    pieces = [message["body"] for message in sent[1:]]
    assert pieces[0] == b"retry: 1000\n\n"
    assert pieces[1:-1] == [b": nothing new\n\n"] * len(pieces[1:-1])
    assert 1 <= len(pieces[1:-1]) <= 5
    assert not sent[-1].get("more_body")


@pytest.mark.django_db(transaction=True)
def test_it_sends_nothing_to_who_has_gone(team: Team) -> None:
    scripted_endpoint(team)
    team.prompt()
    channel = channel_of(start(team).pk)

    assert ask(answering([(WAIT, json.dumps([channel, 30]).encode())], b"{}", status=202), stay=0.3) == []
    assert len(ask(answering([(STREAM, json.dumps([channel]).encode())]), stay=0.3)) <= 3


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_not_there_any_more_ends_its_stream() -> None:
    sent = ask(answering([(STREAM, json.dumps([channel_of(RUN)]).encode())]))
    assert body_of(sent) == b"retry: 1000\n\n"


def test_the_id_of_an_event_says_what_was_told() -> None:
    one, other, third = (uuid.UUID(int=number) for number in range(3))
    told = told_by("2.1042,e,", [one, other, third])
    assert told == {one: Heard(2, 1042), other: Heard(ended=True), third: Heard()}
    for foreign in ("", "1718-0", "1.1,1.1", "x.1,e,", "2.1042,e,,e", "-1.5,,"):
        assert Heard(2, 1042) not in told_by(foreign, [one, other, third]).values()
    assert told_by("nonsense", [one]) == {one: Heard()}


def test_a_watcher_hears_no_piece_twice_and_none_out_of_turn() -> None:
    watcher = Watcher({RUN: Heard()}, tokens=True)
    watcher.hear_start(RUN, 1, "now")
    watcher.hear_start(RUN, 1, "now")
    assert watcher.hear_text(RUN, 1, "Good ", 0)
    assert watcher.hear_text(RUN, 1, "Good mor", 0)
    assert watcher.hear_text(RUN, 1, "ning", 8)
    assert watcher.take() == [Started(RUN, 1, "now"), Token(RUN, 1, "Good morning", 0)]

    assert not watcher.hear_text(RUN, 1, "rld", 15)  # "wo" is missing
    assert watcher.take() == []
    assert watcher.hear_text(RUN, 1, "Good morning, world", 0)
    assert watcher.take() == [Token(RUN, 1, ", world", 12)]

    watcher.hear_start(RUN, 2, "later")
    assert watcher.hear_text(RUN, 1, "of a worker that was given up", 19)
    assert watcher.hear_text(RUN, 2, "Hello", 0)
    assert watcher.take() == [Started(RUN, 2, "later"), Token(RUN, 2, "Hello", 0)]

    watcher.hear_state(RUN, State(2, "later", "Hello, you", "{}"))
    watcher.hear_state(RUN, State(2, "later", "Hello, you", "{}"))
    assert watcher.hear_text(RUN, 3, "too late", 0)
    assert watcher.take() == [Token(RUN, 2, ", you", 5), Ended(RUN, "{}")]
    assert watcher.finished


def test_a_watcher_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "MAX_PENDING", 10)
    watcher = Watcher({RUN: Heard()}, tokens=True)
    watcher.hear_text(RUN, 1, "x" * 8, 0)
    watcher.take()
    watcher.hear_text(RUN, 1, "x" * 8, 8)
    assert not watcher.closed
    watcher.hear_text(RUN, 1, "x" * 8, 16)
    assert watcher.closed


def test_a_watcher_counts_characters_and_not_bytes() -> None:
    watcher = Watcher({RUN: Heard(1, 3)}, tokens=True)
    assert watcher.hear_text(RUN, 1, "你好，🙂 world", 0)
    assert watcher.take() == [Token(RUN, 1, "🙂 world", 3)]
