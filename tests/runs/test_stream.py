"""Waiting for runs and watching them, on the real web server with real workers: whatever becomes of Valkey."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection

from promptops.runs.doorbell import ring
from promptops.runs.events import channel_of, wait_key_of, watch_key_of
from promptops.runs.models import Run, Status
from tests import services
from tests.people import Team
from tests.processes import wait_for, wait_until_ended
from tests.runs.pages import scripted_endpoint, start
from tests.web import WebServer, serve, session_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("api_worker")]

SLOW = "scripted?tokens=20&latency=2"
SLOW_TEXT = " ".join(f"word{number}" for number in range(20))
RUN = {"prompt": "greeting", "version": 1, "endpoint": "scripted", "variables": {"name": "Ada"}}


@dataclass(frozen=True)
class Heard:
    id: str
    name: str
    data: dict[str, Any]


def events(answer: httpx2.Response) -> Iterator[Heard]:
    """Read server-sent events as they come."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _colon, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Heard(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


def text_of(heard: list[Heard]) -> str:
    return "".join(one.data["text"] for one in heard if one.name == "token")


@pytest.fixture
def client(team: Team, web: WebServer) -> Iterator[httpx2.Client]:
    """An editor's connection, in a project with a prompt, a quick endpoint and a slow one."""
    team.prompt()
    scripted_endpoint(team)
    scripted_endpoint(team, SLOW, slug="slow")
    with web.client(team.token("editor")) as client:
        yield client


def test_it_waits_for_the_end(client: httpx2.Client) -> None:
    began = time.monotonic()
    answer = client.post("/api/v1/runs", json={**RUN, "wait": 20})

    assert answer.status_code == 201
    assert time.monotonic() - began < 5
    run = answer.json()
    assert (run["status"], run["output"]) == ("succeeded", "[You are polite.] Greet Ada in one sentence.")
    assert "x-internal-wait" not in answer.headers
    assert client.get(answer.headers["location"]).json() == run


def test_it_answers_with_the_queued_run_when_the_time_is_over(client: httpx2.Client) -> None:
    began = time.monotonic()
    answer = client.post("/api/v1/runs", json={**RUN, "endpoint": "slow", "wait": 0.5})

    assert answer.status_code == 202
    assert 0.4 < time.monotonic() - began < 1.8
    assert answer.json()["status"] in ("queued", "running")
    (run,) = wait_until_ended(uuid.UUID(answer.json()["id"]))
    assert run.status == Status.SUCCEEDED


def test_a_repeat_with_the_same_key_waits_for_the_same_run(client: httpx2.Client) -> None:
    body, key = {**RUN, "endpoint": "slow", "wait": 20}, {"Idempotency-Key": "once"}
    with pytest.raises(httpx2.ReadTimeout):
        client.post("/api/v1/runs", json=body, headers=key, timeout=0.7)

    answer = client.post("/api/v1/runs", json=body, headers=key)

    assert answer.status_code == 201
    assert answer.headers["idempotency-replayed"] == "true"
    assert answer.json()["output"] == SLOW_TEXT
    assert Run.objects.count() == 1


def test_many_can_wait_while_others_are_served(client: httpx2.Client, web: WebServer) -> None:
    """There are ten threads for requests: waiting must hold none."""
    answers: list[int] = []

    def wait() -> None:
        answer = client.post("/api/v1/runs", json={**RUN, "endpoint": "slow", "wait": 20})
        answers.append(answer.status_code)

    waiters = [threading.Thread(target=wait) for _ in range(25)]
    for waiter in waiters:
        waiter.start()
    wait_for(lambda: Run.objects.count() == 25)
    began = time.monotonic()
    assert client.get("/api/v1/runs").status_code == 200
    assert time.monotonic() - began < 1
    assert not answers
    for waiter in waiters:
        waiter.join()
    assert answers == [201] * 25


def test_it_streams_the_text_as_it_comes(client: httpx2.Client) -> None:
    began = time.monotonic()
    with client.stream("POST", "/api/v1/runs", json={**RUN, "endpoint": "slow", "stream": True}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "x-internal-event-stream" not in answer.headers
        heard, at = [], []
        for one in events(answer):
            heard.append(one)
            at.append(time.monotonic() - began)

    assert heard[0].name == "started"
    assert heard[0].data["attempt"] == 1
    assert [one.name for one in heard].count("ended") == 1
    assert heard[-1].name == "ended"
    assert text_of(heard) == SLOW_TEXT
    tokens = [one for one in heard if one.name == "token"]
    assert len(tokens) > 5  # in pieces, and spread over the time of the call
    assert at[heard.index(tokens[-1])] - at[heard.index(tokens[0])] > 1
    ended = heard[-1].data
    run = client.get(answer.headers["location"]).json()
    assert ended == {"run": run["id"], **run}
    assert {one.data["run"] for one in heard} == {run["id"]}


def test_it_tells_an_ended_run_at_once(client: httpx2.Client, team: Team) -> None:
    run = start(team)
    wait_until_ended(run)
    began = time.monotonic()

    with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
        heard = list(events(answer))

    assert time.monotonic() - began < 1
    assert [one.name for one in heard] == ["started", "token", "ended"]
    assert text_of(heard) == "[You are polite.] Greet Ada in one sentence."


def test_it_goes_on_behind_the_last_event(client: httpx2.Client, team: Team) -> None:
    run = start(team, endpoint="slow")
    before: list[Heard] = []
    with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
        for one in events(answer):
            before.append(one)
            if len(before) == 4:
                break
    with client.stream("GET", f"/api/v1/runs/{run.pk}/events", headers={"Last-Event-ID": before[-1].id}) as answer:
        behind = list(events(answer))

    assert text_of(before) + text_of(behind) == SLOW_TEXT
    assert text_of(before)
    assert len(behind) > 2
    assert [one.name for one in before + behind].count("started") == 1
    # And when all was told, a browser is told not to come back.
    last = {"Last-Event-ID": behind[-1].id}
    assert client.get(f"/api/v1/runs/{run.pk}/events", headers=last).status_code == 204


def test_it_goes_on_when_valkey_is_emptied(client: httpx2.Client, team: Team, valkey: Any) -> None:
    scripted_endpoint(team, "scripted?tokens=40&latency=8", slug="slower")
    run = start(team, endpoint="slower")
    heard, emptied_at = [], 0
    with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
        for one in events(answer):
            heard.append(one)
            if one.name == "token" and not emptied_at:
                valkey.flushdb()
                emptied_at = len(heard)

    assert heard[-1].name == "ended"
    assert text_of(heard) == heard[-1].data["output"]
    # Not only the end was told: once the key is set again, the worker tells the text again, from where we were.
    assert len([one for one in heard[emptied_at:] if one.name == "token"]) > 3


def test_it_notices_an_end_that_nobody_told(client: httpx2.Client, team: Team, valkey: Any) -> None:
    """The key by which a worker knows of watchers is gone, so it tells nothing: the database is asked."""
    run = start(team, endpoint="slow")
    stop = threading.Event()

    def keep_taking_it() -> None:
        while not stop.wait(0.005):
            valkey.delete(watch_key_of(run.pk), wait_key_of(run.pk), channel_of(run.pk))

    taker = threading.Thread(target=keep_taking_it)
    taker.start()
    try:
        with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
            heard = list(events(answer))
    finally:
        stop.set()
        taker.join()

    assert heard[-1].name == "ended"
    assert text_of(heard) == SLOW_TEXT


def test_it_goes_on_when_the_database_was_away(
    client: httpx2.Client, team: Team, session_directory: Path, database_name: str
) -> None:
    run = start(team, endpoint="slow")
    heard: list[Heard] = []
    with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
        for one in events(answer):
            if one.name == "token" and not text_of(heard):
                connection.close()
                with services.role(session_directory, database_name) as plain:
                    plain.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()"
                    )
            heard.append(one)

    assert [heard[0].name, heard[-1].name] == ["started", "ended"]
    assert heard[-1].data["status"] == "succeeded"
    assert text_of(heard) == SLOW_TEXT


def test_somebody_who_comes_later_hears_everything_from_the_beginning(client: httpx2.Client, team: Team) -> None:
    run = start(team, endpoint="slow")
    heard: dict[str, list[Heard]] = {"early": [], "late": []}

    def watch(name: str) -> None:
        with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
            heard[name].extend(events(answer))

    early = threading.Thread(target=watch, args=["early"])
    early.start()
    wait_for(lambda: len(heard["early"]) > 4)
    watch("late")
    early.join()

    assert text_of(heard["early"]) == text_of(heard["late"]) == SLOW_TEXT
    assert [one.name for one in heard["early"]].count("started") == 1
    assert len(heard["late"]) > 4


def test_one_connection_watches_all_runs_of_a_page(client: httpx2.Client, team: Team, web: WebServer) -> None:
    runs = [start(team, endpoint="slow"), start(team), start(team, endpoint="slow")]
    query = "&".join(f"run={run.pk}" for run in runs)
    with (
        web.client(session=session_of(team.viewer)) as browser,
        browser.stream("GET", f"/p/{team.project.slug}/runs/stream/?{query}") as answer,
    ):
        heard = list(events(answer))

    for run in runs:
        mine = [one for one in heard if one.data["run"] == str(run.pk)]
        assert [mine[0].name, mine[-1].name] == ["started", "ended"]
        assert text_of(mine) == mine[-1].data["output"]
    assert heard[-1].id == "e,e,e"


def test_it_begins_the_text_anew_with_another_attempt(client: httpx2.Client, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=truncated_stream&after=10&tokens=20&latency=1&times=1", slug="breaks")
    run = start(team, endpoint="breaks")
    with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
        heard = list(events(answer))

    starts = [index for index, one in enumerate(heard) if one.name == "started"]
    assert [heard[index].data["attempt"] for index in starts] == [1, 2]
    assert SLOW_TEXT.startswith(text_of(heard[: starts[1]]))
    assert text_of(heard[: starts[1]])
    assert text_of(heard[starts[1] :]) == SLOW_TEXT
    assert [one["status"] for one in heard[-1].data["attempts"]] == ["failed", "succeeded"]


def test_a_cancelled_run_ends_its_stream(client: httpx2.Client, team: Team) -> None:
    run = start(team, endpoint="slow")
    with client.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
        heard: list[Heard] = []
        for one in events(answer):
            if one.name == "token" and not text_of(heard):
                assert client.post(f"/api/v1/runs/{run.pk}/cancel").status_code == 200
            heard.append(one)

    assert heard[-1].data["status"] == "cancelled"
    assert text_of(heard) == heard[-1].data["output"]


def test_it_tells_without_valkey_what_the_database_knows(client: httpx2.Client, team: Team) -> None:
    with (
        serve(VALKEY_URL="unix:///tmp/promptops-no-such-valkey.sock?db=0") as server,
        server.client(team.token("editor")) as lonely,
        lonely.stream("POST", "/api/v1/runs", json={**RUN, "endpoint": "slow", "stream": True}) as answer,
    ):
        ring("api")  # that server cannot
        heard = list(events(answer))
        assert [one.name for one in heard] == ["started", "token", "ended"]
        assert text_of(heard) == SLOW_TEXT
        wait = {"prompt": "greeting", "version": 1, "endpoint": "scripted", "variables": {"name": "Ada"}, "wait": 20}
        threading.Timer(0.5, ring, ["api"]).start()
        assert lonely.post("/api/v1/runs", json=wait).status_code == 201


def test_who_disconnects_is_forgotten(client: httpx2.Client, team: Team, valkey: Any) -> None:
    scripted_endpoint(team, "scripted?tokens=40&latency=8", slug="slower")
    run = start(team, endpoint="slower")
    with client.stream("GET", f"/api/v1/runs/{run.pk}/events"):
        wait_for(lambda: valkey.exists(watch_key_of(run.pk)))
    with pytest.raises(httpx2.ReadTimeout):
        client.post("/api/v1/runs", json={**RUN, "endpoint": "slower", "wait": 20}, timeout=0.5)
    waited = Run.objects.latest("created_at")
    assert valkey.exists(wait_key_of(waited.pk))
    assert not valkey.exists(watch_key_of(waited.pk))  # nobody wanted its tokens

    # Whoever watches renews the keys every three seconds: nobody does.
    for key in (watch_key_of(run.pk), wait_key_of(waited.pk)):
        wait_for(lambda key=key: valkey.ttl(key) < 24, seconds=8)


def test_a_server_that_stops_lets_everybody_go(team: Team, client: httpx2.Client) -> None:
    scripted_endpoint(team, "scripted?tokens=40&latency=20", slug="slower")
    run = start(team, endpoint="slower")
    answers = {}
    with serve() as server, server.client(team.token("editor")) as other:

        def wait() -> None:
            answers["wait"] = other.post("/api/v1/runs", json={**RUN, "endpoint": "slower", "wait": 60}).status_code

        waiter = threading.Thread(target=wait)
        waiter.start()
        wait_for(lambda: Run.objects.count() == 2)
        with other.stream("GET", f"/api/v1/runs/{run.pk}/events") as answer:
            stream = events(answer)
            next(stream)
            began = time.monotonic()
            server.process.terminate()
            rest = list(stream)  # ends as it should, instead of breaking
        waiter.join()
        server.process.wait(10)
        assert time.monotonic() - began < 30  # not the ten minutes for which a stream may stay open
    assert "ended" not in [one.name for one in rest]
    assert answers == {"wait": 202}
