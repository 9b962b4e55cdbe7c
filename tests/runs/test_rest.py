"""Runs and batches by REST, as a service uses them: start, read, list, cancel, repeat."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from promptops.core.ids import time_of
from promptops.core.streaming import STREAM_HEADER, WAIT_HEADER
from promptops.runs.models import Batch, Run, Status
from tests.api.client import Caller, make_caller, problem
from tests.people import Team
from tests.runs.pages import scripted_endpoint, start, work

pytestmark = pytest.mark.django_db

RUN = {"prompt": "greeting", "version": 1, "endpoint": "scripted", "variables": {"name": "Ada"}}
TEXTS = {"variables", "messages", "parameters", "output"}
SHAPE = TEXTS | {
    "id", "status", "prompt", "version", "label", "endpoint", "finish_reason", "request_model", "response_model",
    "input_tokens", "output_tokens", "cost_usd", "cost_estimated", "latency_ms", "time_to_first_token_ms", "error",
    "attempts", "cached", "metadata", "created_at", "started_at", "ended_at", "url",
}  # fmt: skip


@pytest.fixture
def caller(team: Team) -> Caller:
    """An admin's token, in a project with a prompt and an endpoint."""
    team.prompt()
    scripted_endpoint(team, price={"input_price": "2", "output_price": "10"})
    return make_caller(team.project)


def test_it_queues_a_run_and_shows_it_from_the_beginning_to_the_end(caller: Caller, team: Team) -> None:
    answer = caller.post("/runs", {**RUN, "metadata": {"customer": "c-1"}, "parameters": {"max_tokens": 7}})

    assert answer.status_code == 202
    queued = answer.json()
    assert answer["Location"] == f"/api/v1/runs/{queued['id']}"
    assert queued.keys() >= SHAPE
    assert (queued["status"], queued["output"], queued["attempts"], queued["cost_usd"]) == ("queued", None, [], None)
    assert queued["metadata"] == {"customer": "c-1"}
    assert queued["messages"][1] == {"role": "user", "content": "Greet Ada in one sentence."}
    assert queued["parameters"] == {"temperature": 0.2, "max_tokens": 7}
    assert caller.ok("GET", answer["Location"]) == queued

    work()
    ended = caller.ok("GET", answer["Location"])
    assert ended["status"] == "succeeded"
    assert ended["output"] == "[You are polite.] Greet Ada in one "
    assert ended["finish_reason"] == "length"
    assert (ended["request_model"], ended["response_model"]) == ("scripted", "scripted")
    assert ended["output_tokens"] == 7
    assert ended["cost_usd"] == pytest.approx((2 * ended["input_tokens"] + 10 * 7) / 1_000_000)
    assert ended["cost_estimated"] is False
    assert ended["started_at"] <= ended["ended_at"]
    assert [(one["number"], one["status"], one["cost_usd"]) for one in ended["attempts"]] == [
        (1, "succeeded", ended["cost_usd"])
    ]
    assert ended["url"].endswith(f"/p/{team.project.slug}/runs/{ended['id']}/")


def test_it_runs_what_a_label_stands_at_and_says_so(caller: Caller) -> None:
    problem(caller.post("/runs", {**RUN, "version": None}), 404, "label_not_found")
    caller.put("/prompts/greeting/labels/production", {"version": 1})

    run = caller.ok("POST", "/runs", {**RUN, "version": None}, status=202)
    assert (run["version"], run["label"]) == (1, "production")
    run = caller.ok("POST", "/runs", {**RUN, "version": None, "label": "latest"}, status=202)
    assert (run["version"], run["label"]) == (1, "latest")
    problem(caller.post("/runs", {**RUN, "label": "production"}), 422)


def test_it_uses_the_default_endpoint_and_finds_a_renamed_prompt(caller: Caller, team: Team) -> None:
    default = team.project.endpoints.get(is_default=True)
    caller.patch("/prompts/greeting", {"slug": "hello"})

    run = caller.ok("POST", "/runs", {"prompt": "greeting", "version": 1, "variables": {"name": "Ada"}}, status=202)

    assert (run["endpoint"], run["prompt"]) == (default.slug, "hello")


@pytest.mark.parametrize(
    ("change", "status", "where"),
    [
        ({"prompt": "absent"}, 404, None),
        ({"version": 99}, 404, None),
        ({"endpoint": "absent"}, 404, None),
        ({"variables": {}}, 422, "variables.name"),
        ({"parameters": {"temprature": 1}}, 422, "parameters.temprature"),
        ({"metadata": {"much": "x" * 17_000}}, 413, None),
        ({"colour": "red"}, 422, "colour"),
        ({"wait": -1}, 422, "wait"),
        ({"wait": 1, "stream": True}, 422, "wait"),
    ],
)
def test_it_says_what_is_wrong_and_starts_nothing(
    caller: Caller, change: dict[str, Any], status: int, where: str | None
) -> None:
    found = problem(caller.post("/runs", {**RUN, **change}), status)

    if where is not None:
        assert list(found["errors"]) == [where]
    assert not Run.objects.exists()


def test_it_refuses_an_archived_endpoint_or_prompt(caller: Caller) -> None:
    caller.post("/endpoints/scripted/archive")
    problem(caller.post("/runs", RUN), 404, "endpoint_not_found")
    caller.post("/prompts/greeting/archive")
    problem(caller.post("/runs", RUN), 404, "archived")


def test_it_tells_why_a_run_failed(caller: Caller, team: Team) -> None:
    scripted_endpoint(team, "scripted?error=authentication&message=Wrong+key.&after=2", slug="locked")
    run = caller.ok("POST", "/runs", {**RUN, "endpoint": "locked"}, status=202)
    work()

    ended = caller.ok("GET", f"/runs/{run['id']}")
    assert ended["status"] == "failed"
    assert ended["error"] == {"kind": "authentication", "message": "Wrong key.", "permanent": True, "status": None}
    assert ended["output"] == "[You are "
    assert ended["attempts"][0]["error"]["kind"] == "authentication"


def test_it_asks_the_web_layer_to_wait_for_at_most_a_minute(caller: Caller) -> None:
    waiting = caller.post("/runs", {**RUN, "wait": 3600})
    assert waiting.status_code == 202
    assert json.loads(waiting[WAIT_HEADER]) == [f"run:{waiting.json()['id']}:events", 60]
    assert WAIT_HEADER not in caller.post("/runs", {**RUN, "wait": 0})


def test_it_streams_or_waits_for_the_same_run_when_a_key_is_repeated(caller: Caller) -> None:
    for wish, header in (({"stream": True}, STREAM_HEADER), ({"wait": 5}, WAIT_HEADER)):
        first, again = (caller.post("/runs", {**RUN, **wish}, key=f"k-{header}") for _ in range(2))

        assert again.status_code == first.status_code
        assert again[header] == first[header]
        assert again["Location"] == first["Location"]
        assert again["Content-Type"] == first["Content-Type"]
        assert again["Idempotency-Replayed"] == "true"
    assert Run.objects.count() == 2


def test_it_lists_runs_newest_first_without_their_texts(caller: Caller) -> None:
    made = [caller.ok("POST", "/runs", RUN, status=202)["id"] for _ in range(5)]

    first = caller.ok("GET", "/runs?limit=3")
    second = caller.ok("GET", f"/runs?limit=3&cursor={first['next']}")
    assert [run["id"] for run in first["items"] + second["items"]] == made[::-1]
    assert second["next"] is None
    assert not TEXTS & first["items"][0].keys()
    assert first["items"][0].keys() >= SHAPE - TEXTS

    whole = caller.ok("GET", "/runs?texts=true&limit=1")["items"][0]
    assert whole == caller.ok("GET", f"/runs/{made[-1]}")


def test_it_asks_the_database_no_more_often_for_a_longer_list(caller: Caller) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            caller.ok("GET", "/runs?texts=true")
        return len(captured)

    caller.post("/runs", RUN)
    queries()
    few = queries()
    for _ in range(5):
        caller.post("/runs", RUN)
    assert queries() == few


def test_it_filters_runs(caller: Caller, team: Team) -> None:
    team.prompt("other")
    scripted_endpoint(team, slug="second")
    ended = start(team)
    work()
    queued, elsewhere, other = start(team), start(team, endpoint="second"), start(team, "other")
    caller.put("/prompts/greeting/labels/production", {"version": 1})
    labelled = start(team, label="production")

    def found(query: str) -> set[str]:
        return {run["id"] for run in caller.ok("GET", f"/runs?{query}")["items"]}

    def ids(*runs: Run) -> set[str]:
        return {str(run.pk) for run in runs}

    assert found("status=succeeded") == ids(ended)
    assert found("status=succeeded&status=queued") == ids(ended, queued, elsewhere, other, labelled)
    assert found("prompt=other") == ids(other)
    assert found("prompt=greeting&version=1") == ids(ended, queued, elsewhere, labelled)
    assert found("prompt=greeting&version=0") == set()
    assert found("endpoint=second") == ids(elsewhere)
    assert found("label=production") == ids(labelled)
    problem(caller.get("/runs?prompt=absent"), 404)
    problem(caller.get("/runs?endpoint=absent"), 404)
    problem(caller.get(f"/runs?batch={uuid.uuid4()}"), 404)
    problem(caller.get("/runs?status=done"), 422)
    problem(caller.get("/runs?cursor=nonsense"), 422)


def test_it_filters_by_time_of_creation(caller: Caller, team: Team) -> None:
    run = start(team)
    at = time_of(run.pk)

    def found(since: dt.datetime, until: dt.datetime) -> int:
        query = f"since={since.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}&until={until.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}"
        return len(caller.ok("GET", f"/runs?{query}")["items"])

    hour = dt.timedelta(hours=1)
    assert found(at, at + hour) == 1
    assert found(at - hour, at) == 0
    assert found(at + dt.timedelta(milliseconds=1), at + hour) == 0
    assert len(caller.ok("GET", "/runs?since=0001-01-01T00:00:00&until=9999-12-31T23:59:59-12:00")["items"]) == 1


def test_it_leaves_out_partitions_that_cannot_have_a_row(caller: Caller, team: Team) -> None:
    run = start(team)
    day = time_of(run.pk).date()
    with CaptureQueriesContext(connection) as captured:
        caller.ok("GET", f"/runs?since={day}T00:00:00Z&until={day}T23:59:59Z")
    (query,) = [one["sql"] for one in captured if 'FROM "runs_run"' in one["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert f"runs_run_{day:%Y_%m}" in plan
    assert "runs_run_default" not in plan


def test_it_cancels_a_queued_run_and_leaves_an_ended_one(caller: Caller, team: Team) -> None:
    run = start(team)
    assert caller.ok("POST", f"/runs/{run.pk}/cancel")["status"] == "cancelled"
    assert caller.ok("POST", f"/runs/{run.pk}/cancel")["status"] == "cancelled"

    ended = start(team)
    work()
    assert caller.ok("POST", f"/runs/{ended.pk}/cancel")["status"] == "succeeded"


def test_it_runs_the_same_again_on_another_endpoint(caller: Caller, team: Team) -> None:
    scripted_endpoint(team, "scripted?tokens=3", slug="second")
    run = start(team, metadata={"customer": "c-1"})
    work()

    answer = caller.post(f"/runs/{run.pk}/replay", {"endpoint": "second"})
    assert answer.status_code == 202
    assert answer["Location"] == f"/api/v1/runs/{answer.json()['id']}"
    work()
    again = caller.ok("GET", answer["Location"])
    assert again["output"] == "word0 word1 word2"
    assert again["metadata"] == {"customer": "c-1", "replay_of": str(run.pk)}
    assert again["variables"] == {"name": "Ada"}
    assert caller.ok("POST", f"/runs/{run.pk}/replay", {}, status=202)["endpoint"] == "scripted"


def test_it_streams_to_whoever_may_read(caller: Caller, team: Team) -> None:
    run = start(team)
    answer = make_caller(team.project, "viewer").get(f"/runs/{run.pk}/events")
    assert json.loads(answer[STREAM_HEADER]) == [f"run:{run.pk}:events"]
    assert answer["Content-Type"] == "text/event-stream"


def test_it_lets_viewers_read_and_editors_run(caller: Caller, team: Team) -> None:
    viewer, editor = make_caller(team.project, "viewer"), make_caller(team.project, "editor")
    run = editor.ok("POST", "/runs", RUN, status=202)
    batch = editor.ok("POST", "/runs/batch", {**RUN_OF_MANY, "items": [{"variables": {"name": "Ada"}}]}, status=202)

    for path in ("/runs", f"/runs/{run['id']}", "/runs/batch", f"/runs/batch/{batch['id']}"):
        viewer.ok("GET", path)
    for path, body in _writes(run["id"], batch["id"]):
        assert problem(viewer.post(path, body), 403)["needed_role"] == "editor"
    problem(viewer.post("/runs", {**RUN, "prompt": "absent"}), 403)  # not even whether it is there


def test_a_token_needs_the_scope(caller: Caller, team: Team) -> None:
    run, batch = start(team), caller.ok("POST", "/runs/batch", RUN_OF_MANY, status=202)
    reads = make_caller(team.project, "editor", scopes=["read", "write"])
    runs = make_caller(team.project, "editor", scopes=["run"])

    for path, body in _writes(str(run.pk), batch["id"]):
        assert problem(reads.post(path, body), 403)["needed_scope"] == "run"
    for path in ("/runs", f"/runs/{run.pk}", f"/runs/{run.pk}/events", "/runs/batch", f"/runs/batch/{batch['id']}"):
        assert problem(runs.get(path), 403)["needed_scope"] == "read"
    runs.ok("POST", "/runs", RUN, status=202)


def test_another_project_sees_nothing(caller: Caller, team: Team) -> None:
    run, batch = start(team), caller.ok("POST", "/runs/batch", RUN_OF_MANY, status=202)
    stranger = make_caller(team.elsewhere)

    assert stranger.ok("GET", "/runs") == {"items": [], "next": None}
    assert stranger.ok("GET", "/runs/batch") == {"items": [], "next": None}
    for path in (
        f"/runs/{run.pk}",
        f"/runs/{run.pk}/events",
        f"/runs/batch/{batch['id']}",
        f"/runs?batch={batch['id']}",
    ):
        problem(stranger.get(path), 404)
    for path, body in _writes(str(run.pk), batch["id"]):
        problem(stranger.post(path, body), 404)
    run.refresh_from_db()
    assert run.status == Status.QUEUED
    problem(caller.get("/runs/not-an-id"), 404)
    problem(caller.get(f"/runs/{uuid.uuid4()}"), 404, "run_not_found")


RUN_OF_MANY = {
    "prompt": "greeting",
    "version": 1,
    "endpoint": "scripted",
    "items": [{"variables": {"name": f"N{number}"}, "metadata": {"row": number}} for number in range(3)],
}
NOTHING = {"queued": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "blocked": 0}


def test_it_runs_a_batch_and_counts_how_far_it_is(caller: Caller) -> None:
    answer = caller.post("/runs/batch", RUN_OF_MANY)
    assert answer.status_code == 202
    batch = answer.json()
    assert answer["Location"] == f"/api/v1/runs/batch/{batch['id']}"
    assert batch["counts"] == {**NOTHING, "queued": 3}
    assert (batch["state"], batch["total"], batch["prompt"], batch["version"]) == ("active", 3, "greeting", 1)

    work()
    assert caller.ok("GET", answer["Location"])["counts"] == {**NOTHING, "succeeded": 3}
    runs = caller.ok("GET", f"/runs?batch={batch['id']}&texts=true")["items"]
    assert {(run["metadata"]["row"], run["output"]) for run in runs} == {
        (number, f"[You are polite.] Greet N{number} in one sentence.") for number in range(3)
    }
    assert {run["batch"] for run in runs} == {batch["id"]}
    assert [one["id"] for one in caller.ok("GET", "/runs/batch")["items"]] == [batch["id"]]


def test_a_batch_is_started_whole_or_not_at_all(caller: Caller) -> None:
    wrong = {**RUN_OF_MANY, "items": [{"variables": {"name": "Ada"}}, {"variables": {}}]}
    assert list(problem(caller.post("/runs/batch", wrong), 422)["errors"]) == ["items.1.variables.name"]
    problem(caller.post("/runs/batch", {**RUN_OF_MANY, "items": []}), 422)
    assert not Run.objects.exists()
    assert not Batch.objects.exists()


def test_a_batch_that_would_fill_the_memory_is_refused(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptops.runs.targets.MAX_TEXT", 2_000)
    items = [{"variables": {"name": "Ada"}}] * 200
    refused = problem(caller.post("/runs/batch", {**RUN_OF_MANY, "items": items}), 413)
    assert "smaller batches" in refused["detail"]
    assert not Run.objects.exists()
    assert caller.ok("POST", "/runs/batch", {**RUN_OF_MANY, "items": items[:5]}, status=202)["total"] == 5


def test_a_batch_can_be_paused_resumed_and_cancelled(caller: Caller) -> None:
    path = f"/runs/batch/{caller.ok('POST', '/runs/batch', RUN_OF_MANY, status=202)['id']}"

    assert caller.ok("POST", f"{path}/pause")["state"] == "paused"
    work()
    assert caller.ok("GET", path)["counts"] == {**NOTHING, "queued": 3}
    assert caller.ok("POST", f"{path}/resume")["state"] == "active"
    assert caller.ok("POST", f"{path}/cancel")["counts"] == {**NOTHING, "cancelled": 3}
    problem(caller.post(f"{path}/resume"), 409, "batch_cancelled")
    problem(caller.post(f"{path}/pause"), 409, "batch_cancelled")


def _writes(run_id: str, batch_id: str) -> list[tuple[str, Any]]:
    return [
        ("/runs", RUN),
        (f"/runs/{run_id}/cancel", {}),
        (f"/runs/{run_id}/replay", {}),
        ("/runs/batch", RUN_OF_MANY),
        *((f"/runs/batch/{batch_id}/{verb}", {}) for verb in ("pause", "resume", "cancel")),
    ]
