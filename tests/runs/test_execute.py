"""Runs executed by a real worker: what comes back, what is written down, what is tried again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from promptops.prompts.models import PromptActivity
from promptops.runs.models import Attempt, Batch, Priority, Run, RunPayload, Status
from promptops.runs.services import (
    RunRequest,
    cancel_batch,
    cancel_run,
    pause_batch,
    resume_batch,
    start_batch,
    start_run,
    start_runs,
    version_target,
)
from tests.people import Team, make_team
from tests.processes import CeleryWorker, wait_for, wait_until_ended
from tests.provider import Provider
from tests.runs.conftest import Begin, MakeEndpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

TEXT = "[You are polite.] Greet Ada in one sentence."


@pytest.fixture(scope="module")
def worker(django_db_setup: None, django_db_blocker: Any) -> Iterator[CeleryWorker]:
    """A worker that gives a provider four seconds."""
    with django_db_blocker.unblock(), CeleryWorker("api", RUN_CALL_SECONDS="4", RECONCILE_SECONDS="1") as running:
        yield running


def attempts_of(run: Run) -> list[Any]:
    return list(Attempt.objects.filter(run_id=run.pk).order_by("number"))


def output_of(run: Run) -> str | None:
    return RunPayload.objects.get(pk=run.pk).output


@pytest.mark.parametrize("stream", [True, False])
def test_it_keeps_the_output_with_its_usage_and_cost(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider, stream: bool
) -> None:
    endpoint = make_endpoint(team, "test-model?latency=0.1", price={"input_price": "2", "output_price": "10"})
    (run,) = begin(endpoint, stream=stream)
    (ended,) = wait_until_ended(run)
    assert (ended.status, ended.error, ended.finish_reason) == (Status.SUCCEEDED, None, "stop")
    assert output_of(run) == TEXT
    assert (ended.input_tokens, ended.output_tokens, ended.usage_estimated) == (15, 8, False)
    assert ended.cost_usd == Decimal("0.00011")
    assert ended.latency_ms >= 100
    assert (ended.time_to_first_token_ms is not None) is stream
    assert ended.request_model == "test-model?latency=0.1"
    assert ended.response_model
    assert ended.created_at <= ended.started_at < ended.ended_at
    (attempt,) = attempts_of(run)
    assert (attempt.status, attempt.cost_usd, attempt.input_price) == ("succeeded", ended.cost_usd, Decimal("2"))
    (call,) = provider.calls
    assert call.stream is stream
    assert call.body["messages"][1]["content"] == "Greet Ada in one sentence."
    assert PromptActivity.objects.get(prompt=run.prompt).runs == 1


def test_it_speaks_with_anthropic_too(team: Team, begin: Begin, make_endpoint: MakeEndpoint) -> None:
    (ended,) = wait_until_ended(*begin(make_endpoint(team, kind="anthropic")))
    assert (ended.status, output_of(ended)) == (Status.SUCCEEDED, TEXT)


def test_it_tries_again_and_adds_up_what_every_call_cost(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team, price={"input_price": "1", "output_price": "1"})
    provider.script(fail="rate_limit")
    provider.script(fail="truncate")  # billed: two tokens had come
    (run,) = begin(endpoint)
    (ended,) = wait_until_ended(run)
    assert (ended.status, output_of(run), ended.attempt_count) == (Status.SUCCEEDED, TEXT, 3)
    first, second, third = attempts_of(run)
    assert [attempt.status for attempt in (first, second, third)] == ["failed", "failed", "succeeded"]
    kinds = (first.error["kind"], first.error["status"], second.error["kind"])
    assert kinds == ("rate_limited", 429, "truncated_stream")
    assert first.cost_usd == 0
    assert second.usage_estimated
    assert second.cost_usd > 0
    assert ended.cost_usd == second.cost_usd + third.cost_usd
    assert ended.cost_estimated
    assert len(provider.calls) == 3


def test_it_waits_as_long_as_the_provider_asks(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    (run,) = begin(make_endpoint(team, "test-model?fail=rate_limit&retry_after=1&times=1"))
    wait_for(lambda: Run.objects.get(pk=run.pk).not_before)
    assert Run.objects.get(pk=run.pk).status == Status.QUEUED  # its slot is free meanwhile
    (ended,) = wait_until_ended(run)
    assert ended.status == Status.SUCCEEDED
    first, second = attempts_of(run)
    assert second.started_at - first.ended_at >= dt.timedelta(seconds=1)


def test_it_gives_up_after_four_calls(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    (run,) = begin(make_endpoint(team, "test-model?fail=unavailable"))
    (ended,) = wait_until_ended(run)
    assert (ended.status, ended.error["kind"], ended.cost_usd) == (Status.FAILED, "overloaded", 0)
    attempts = attempts_of(run)
    assert len(attempts) == len(provider.calls) == 4
    gaps = [(later.started_at - earlier.ended_at).total_seconds() for earlier, later in pairwise(attempts)]
    assert gaps[0] >= 0.25
    assert gaps[1] >= 0.5
    assert gaps[2] >= 1


@pytest.mark.parametrize(
    ("fail", "kind"),
    [
        ("auth", "authentication"),
        ("quota", "spend_limit"),
        ("not_found", "not_found"),
        ("context_length", "context_length"),
        ("content_filter", "content_filter"),
    ],
)
def test_a_refusal_is_not_repeated(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider, fail: str, kind: str
) -> None:
    (ended,) = wait_until_ended(*begin(make_endpoint(team, f"test-model?fail={fail}")))
    assert (ended.status, ended.error["kind"], ended.error["permanent"]) == (Status.FAILED, kind, True)
    assert ended.cost_usd == 0
    assert len(provider.calls) == ended.attempt_count == 1


def test_what_may_not_be_repeated_is_repeated_only_where_nothing_can_have_begun(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    failures = ("rate_limit&times=1", "hang&times=1", "stall&after=3&times=1")
    endpoints = [make_endpoint(team, f"test-model?fail={fail}") for fail in failures]
    runs = [run for endpoint in endpoints for run in begin(endpoint, retry_safe=False)]
    refused, hung, stalled = wait_until_ended(*runs)
    assert (refused.status, refused.attempt_count) == (Status.SUCCEEDED, 2)
    assert (hung.status, hung.error["kind"], hung.attempt_count) == (Status.FAILED, "timeout", 1)
    # Billed, and not to be had again: so what came is kept.
    assert (stalled.status, stalled.error["kind"], stalled.finish_reason) == (Status.FAILED, "timeout", "incomplete")
    assert output_of(stalled) == "[You are polite.] "
    assert (stalled.output_tokens > 0, stalled.usage_estimated, stalled.cost_usd) == (True, True, None)
    assert len(provider.calls) == 4


def test_a_server_error_may_have_been_billed(team: Team, begin: Begin, make_endpoint: MakeEndpoint) -> None:
    price = {"input_price": "1", "output_price": "1"}
    (ended,) = wait_until_ended(*begin(make_endpoint(team, "test-model?fail=server_error&times=1", price=price)))
    assert (ended.status, ended.attempt_count, ended.cost_usd) == (Status.SUCCEEDED, 2, None)


def test_an_address_that_is_not_allowed_is_never_called(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team)
    credential = endpoint.credential
    assert credential is not None
    credential.base_url = credential.base_url.replace("127.0.0.1", "127.0.0.2")
    credential.save()
    (ended,) = wait_until_ended(*begin(endpoint))
    assert (ended.status, ended.error["kind"], ended.cost_usd) == (Status.FAILED, "refused_address", 0)
    assert provider.calls == []


def test_a_running_call_is_cut_off_and_its_text_kept(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    price = {"input_price": "1", "output_price": "1"}
    (run,) = begin(make_endpoint(team, "test-model?tokens=100&token_delay=0.015", price=price))
    wait_for(lambda: Run.objects.get(pk=run.pk).status == Status.RUNNING and provider.in_flight)
    cancelled = cancel_run(team.actor("editor"), run)
    assert cancelled.status == Status.RUNNING
    (ended,) = wait_until_ended(run)
    assert (ended.status, ended.error["kind"], ended.finish_reason) == (Status.CANCELLED, "cancelled", "cancelled")
    assert (ended.ended_at - cancelled.cancel_requested_at).total_seconds() < 2
    assert ended.usage_estimated
    assert 0 < ended.cost_usd < Decimal("0.0001")
    assert (output_of(run) or "").startswith("word0 word1 ")
    wait_for(lambda: provider.calls[0].outcome == "cancelled")
    assert attempts_of(run)[0].status == "cancelled"


def test_cancelling_a_batch_ends_what_runs_and_what_waits(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team, "test-model?latency=1.5")
    target = version_target(team.project, "greeting", version=1)
    editor = team.actor("editor")
    batch = start_batch(editor, target, endpoint, [RunRequest({"name": "Ada"}) for _ in range(200)])
    wait_for(lambda: provider.in_flight >= 64)
    cancel_batch(editor, batch)
    runs = wait_until_ended(*Run.objects.filter(batch=batch))
    assert {run.status for run in runs} == {Status.CANCELLED}
    # A call is noted down before it is made, so one that was cut off in between was not seen by the provider.
    assert 64 <= len(provider.calls) <= sum(run.attempt_count for run in runs) <= 128
    wait_for(lambda: provider.in_flight == 0)
    # A call of which nobody knows whether it was billed has an unknown cost, one that was never made costs nothing.
    assert {run.cost_usd for run in runs} <= {None, Decimal(0)}


def test_a_paused_batch_begins_nothing_until_it_is_resumed(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team, "test-model?latency=0.4")
    target = version_target(team.project, "greeting", version=1)
    editor = team.actor("editor")
    batch = start_batch(editor, target, endpoint, [RunRequest({"name": "Ada"}) for _ in range(200)])
    wait_for(lambda: provider.in_flight >= 64)
    pause_batch(editor, batch)
    runs = Run.objects.filter(batch=batch)
    wait_for(lambda: not runs.filter(status=Status.RUNNING).exists())  # what runs goes on to its end
    called = len(provider.calls)
    assert runs.filter(status=Status.SUCCEEDED).count() == called < 200
    (other,) = begin(endpoint)
    assert wait_until_ended(other)[0].status == Status.SUCCEEDED  # the worker is there, and passes it by
    assert len(provider.calls) == called + 1
    resume_batch(editor, batch)
    assert {run.status for run in wait_until_ended(*runs)} == {Status.SUCCEEDED}
    assert len(provider.calls) == 201
    assert Batch.objects.get(pk=batch.pk).state == "active"


def test_an_interactive_run_overtakes_a_batch(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team, "test-model?latency=0.2")
    target = version_target(team.project, "greeting", version=1)
    editor = team.actor("editor")
    batch = start_batch(editor, target, endpoint, [RunRequest({"name": "Ada"}) for _ in range(600)])
    wait_for(lambda: provider.in_flight >= 64)
    run = start_run(editor, target, endpoint, variables={"name": "Ada"}, priority=Priority.INTERACTIVE)
    (ended,) = wait_until_ended(run)
    assert Run.objects.filter(batch=batch, status=Status.QUEUED).count() > 100
    assert (ended.started_at - ended.created_at).total_seconds() < 2
    cancel_batch(editor, batch)
    wait_until_ended(*Run.objects.filter(batch=batch))


def test_two_projects_share_the_slots_whoever_came_first(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    late = make_team("late")
    late.prompt()
    busy, other = make_endpoint(team, "test-model?latency=0.2"), make_endpoint(late, "test-model?latency=0.2")
    first = begin(busy, 600)
    wait_for(lambda: provider.in_flight >= 64)
    target = version_target(late.project, "greeting", version=1)
    second = start_runs(late.actor("editor"), target, other, [RunRequest({"name": "Bo"})] * 60)
    wait_until_ended(*second)
    waiting = Run.objects.filter(pk__in=[run.pk for run in first], status=Status.QUEUED)
    assert waiting.count() > 200
    waiting.update(status=Status.CANCELLED, ended_at=timezone.now())
    wait_until_ended(*first)
