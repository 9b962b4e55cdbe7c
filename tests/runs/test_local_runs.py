"""Runs on the embedded model, by a real worker: together in one batch; cancelled; repeated."""

from __future__ import annotations

from decimal import Decimal

import pytest

from promptops.runs.models import Attempt, Run, RunPayload, Status, Worker
from promptops.runs.services import cancel_run, replay_run
from tests.people import Team
from tests.processes import CeleryWorker, wait_for, wait_until_ended
from tests.runs.conftest import Begin

pytestmark = pytest.mark.django_db(transaction=True)


def output_of(run: Run) -> str | None:
    return RunPayload.objects.get(pk=run.pk).output


def test_runs_that_wait_together_go_through_the_model_together(
    team: Team, begin: Begin, local_worker: CeleryWorker
) -> None:
    endpoint = team.project.endpoints.get(provider="local")
    sampled = {"max_tokens": 12, "temperature": 1.3}
    runs = begin(endpoint, 3, parameters={**sampled, "seed": 7}) + begin(endpoint, 3, parameters=sampled)
    ended = wait_until_ended(*runs, seconds=120)
    assert {run.status for run in ended} == {Status.SUCCEEDED}
    texts = [output_of(run) for run in ended]
    assert texts[0] == texts[1] == texts[2]
    assert len(set(texts)) == 4
    assert all(run.seed is not None for run in ended)
    spans = [(attempt.started_at, attempt.ended_at) for attempt in Attempt.objects.all()]
    together = max(sum(begin <= moment and moment < (end or begin) for begin, end in spans) for moment, _ in spans)
    assert together >= 4
    for run in ended:
        assert (run.cost_usd, run.usage_estimated) == (Decimal(0), False)
        assert run.system_fingerprint.endswith("float32-cpu")
        assert run.time_to_first_token_ms is not None
    # Whoever repeats a run that drew its own seed gets the same text.
    again = replay_run(team.actor("editor"), ended[3])
    wait_until_ended(again)
    assert output_of(again) == texts[3]


def test_a_long_answer_can_be_cancelled(team: Team, begin: Begin, local_worker: CeleryWorker) -> None:
    endpoint = team.project.endpoints.get(provider="local")
    (run,) = begin(endpoint, parameters={"max_tokens": 4000, "temperature": 2, "seed": 1})
    wait_for(lambda: Run.objects.get(pk=run.pk).status == Status.RUNNING)
    wait_for(lambda: Worker.objects.filter(queue="local", running=1).exists())
    asked = cancel_run(team.actor("editor"), run).cancel_requested_at
    (ended,) = wait_until_ended(run)
    assert (ended.status, ended.finish_reason) == (Status.CANCELLED, "cancelled")
    assert (ended.ended_at - asked).total_seconds() < 2
    (next_run,) = wait_until_ended(*begin(endpoint, parameters={"max_tokens": 2}))
    assert next_run.status == Status.SUCCEEDED


def test_a_model_that_is_not_there_says_how_to_add_it(team: Team, begin: Begin, local_worker: CeleryWorker) -> None:
    endpoint = team.project.endpoints.get(provider="local")
    endpoint.model_name = "some/other-model"
    endpoint.save()
    (ended,) = wait_until_ended(*begin(endpoint))
    assert (ended.status, ended.error["kind"], ended.error["permanent"]) == (Status.FAILED, "unavailable", True)
    assert "other-model" in ended.error["message"]
    assert ended.attempt_count == 1
