"""What the database decides: who is next, who holds a run, what may be written, what stays as it is."""

from __future__ import annotations

import datetime as dt
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from promptops.prompts.models import PromptActivity
from promptops.runs import maintenance
from promptops.runs.claiming import Job, claim, next_due
from promptops.runs.maintenance import reconcile
from promptops.runs.models import Attempt, Batch, Priority, Run, RunPayload, Status
from promptops.runs.recording import Outcome, look_after, record, take_back_expired
from promptops.runs.services import (
    RunRequest,
    cancel_batch,
    cancel_run,
    pause_batch,
    resume_batch,
    start_batch,
    start_runs,
    version_target,
)
from tests import services
from tests.people import Team, make_team

pytestmark = pytest.mark.django_db

Begin = Callable[..., list[Run]]


@pytest.fixture
def begin(team: Team) -> Begin:
    """Queue runs on the embedded model's endpoint (nobody executes them here)."""
    team.prompt()

    def start(count: int = 1, of: Team = team, **options: Any) -> list[Run]:
        target = version_target(of.project, "greeting", version=1)
        endpoint = of.project.endpoints.get(provider="local")
        return start_runs(of.actor("editor"), target, endpoint, [RunRequest({"name": "Ada"})] * count, **options)

    return start


def batch_of(team: Team, count: int) -> Batch:
    target = version_target(team.project, "greeting", version=1)
    endpoint = team.project.endpoints.get(provider="local")
    return start_batch(team.actor("editor"), target, endpoint, [RunRequest({"name": "Ada"})] * count)


def ids(found: Sequence[Job | Run]) -> list[uuid.UUID]:
    return [one.run_id if isinstance(one, Job) else one.pk for one in found]


def outcome_of(job: Job, status: Status | None = Status.SUCCEEDED, **changes: Any) -> Outcome:
    now = timezone.now()
    attempt = Attempt.Status.SUCCEEDED if status == Status.SUCCEEDED else Attempt.Status.FAILED
    given: dict[str, Any] = {"output": "Hello", "cost_usd": Decimal("0.5"), "latency_ms": 5, **changes}
    return Outcome(job.run_id, job.token, job.attempt, status, attempt, now, now, **given)


def expire(*run_ids: uuid.UUID) -> None:
    Run.objects.filter(pk__in=run_ids).update(lease_expires_at=timezone.now() - dt.timedelta(seconds=1))


# --- Who is next -----------------------------------------------------------------------------------------------------


def test_the_more_urgent_goes_first_and_among_equals_the_older(begin: Begin) -> None:
    backfill = begin(2, priority=Priority.BACKFILL)
    live = begin(2)
    (interactive,) = begin(priority=Priority.INTERACTIVE)
    assert ids(claim("local", 3, "w")) == ids([interactive, *live])
    assert ids(claim("local", 9, "w")) == ids(backfill)
    assert claim("local", 9, "w") == []
    assert claim("api", 9, "w") == []


def test_projects_take_turns_counting_what_runs_already(begin: Begin) -> None:
    late = make_team("late")
    late.prompt()
    first = begin(6)
    assert ids(claim("local", 2, "w")) == ids(first[:2])
    second = begin(6, of=late)
    # The late one has nothing in flight, so it catches up first.
    assert ids(claim("local", 2, "w")) == ids(second[:2])
    assert {job.project_id for job in claim("local", 2, "w")} == {first[0].project_id, second[0].project_id}
    # But urgency goes before fairness.
    urgent = begin(2, priority=Priority.INTERACTIVE)
    assert ids(claim("local", 2, "w")) == ids(urgent)


def test_what_waits_for_its_time_or_its_batch_is_passed_by(begin: Begin, team: Team) -> None:
    later, now = begin(2)
    Run.objects.filter(pk=later.pk).update(not_before=timezone.now() + dt.timedelta(seconds=30))
    batch = batch_of(team, 2)
    pause_batch(team.actor("editor"), batch)
    assert ids(claim("local", 9, "w")) == [now.pk]
    due = next_due("local")
    assert due is not None
    assert 25 < due.total_seconds() < 31
    resume_batch(team.actor("editor"), batch)
    assert len(claim("local", 9, "w")) == 2


def test_a_claim_opens_the_attempt_with_its_prices_and_brings_what_the_call_needs(begin: Begin, team: Team) -> None:
    (run,) = begin(parameters={"max_tokens": 7})
    (job,) = claim("local", 1, "worker 1")
    run.refresh_from_db()
    assert (run.status, run.lease_token, run.claims, run.attempt_count) == (Status.RUNNING, job.token, 1, 1)
    assert run.worker == "worker 1"
    assert run.lease_expires_at is not None
    assert 25 < (run.lease_expires_at - timezone.now()).total_seconds() <= 30
    attempt = Attempt.objects.get(run_id=run.pk)
    assert (attempt.number, attempt.status, attempt.lease_token, attempt.input_price) == (
        1,
        "open",
        job.token,
        Decimal(0),
    )
    assert job.messages[1] == {"role": "user", "content": "Greet Ada in one sentence."}
    assert (job.parameters["max_tokens"], job.parameters["temperature"]) == (7, 0.2)
    assert job.parameters["seed"] == run.seed is not None
    assert "Ada" not in repr(job)


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_once_never_get_the_same_run(begin: Begin) -> None:
    runs = begin(60)
    taken: list[uuid.UUID] = []

    def work(name: str) -> None:
        try:
            while jobs := claim("local", 7, name):
                taken.extend(ids(jobs))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[f"w{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken += ids(claim("local", 60, "last"))  # what was locked by others in that moment
    assert sorted(taken) == sorted(ids(runs))
    assert Attempt.objects.count() == 60


# --- What may be written ---------------------------------------------------------------------------------------------


def test_a_result_is_recorded_once_and_only_under_its_lease(begin: Begin) -> None:
    begin(3)
    first, second, third = claim("local", 3, "w")
    assert record([outcome_of(first), outcome_of(second)]) == ids([first, second])
    # The answer to that commit was lost, so it is recorded again.
    assert record([outcome_of(first, Status.FAILED, output="Other")]) == []
    assert Run.objects.get(pk=first.run_id).status == Status.SUCCEEDED
    assert RunPayload.objects.get(pk=first.run_id).output == "Hello"
    expire(third.run_id)
    take_back_expired()
    (again,) = claim("local", 1, "other")
    assert (again.run_id, again.attempt) == (third.run_id, 2)
    assert record([outcome_of(third, output="from the frozen one")]) == []
    assert RunPayload.objects.get(pk=third.run_id).output is None
    assert record([outcome_of(third, output="from the frozen one"), outcome_of(again)]) == [third.run_id]
    assert RunPayload.objects.get(pk=third.run_id).output == "Hello"
    assert list(Attempt.objects.filter(run_id=third.run_id).order_by("number").values_list("status", flat=True)) == [
        "unknown",
        "succeeded",
    ]
    activity = PromptActivity.objects.get()
    assert (activity.runs, activity.failed) == (3, 0)


def test_a_cost_is_unknown_while_one_call_is(begin: Begin) -> None:
    begin(2)
    known, unknown = claim("local", 2, "w")
    record([outcome_of(known, None, retry_in=0.0, cost_usd=Decimal("0.25"), output=None)])
    record([outcome_of(unknown, None, retry_in=0.0, cost_usd=None, output=None)])
    again = {job.run_id: job for job in claim("local", 2, "w")}
    record([outcome_of(again[known.run_id], usage_estimated=True), outcome_of(again[unknown.run_id])])
    runs = Run.objects.in_bulk([known.run_id, unknown.run_id])
    assert runs[known.run_id].cost_usd == Decimal("0.75")
    assert runs[known.run_id].cost_estimated
    assert runs[unknown.run_id].cost_usd is None
    assert PromptActivity.objects.get().cost_usd == Decimal("0.75")


def test_what_waits_for_another_try_keeps_its_lease_from_nobody(begin: Begin) -> None:
    (run,) = begin()
    (job,) = claim("local", 1, "w")
    error = {"kind": "overloaded", "message": "Too much.", "permanent": False}
    assert record([outcome_of(job, None, retry_in=20.0, output=None, error=error)]) == []
    run.refresh_from_db()
    assert (run.status, run.lease_token, run.claims, run.error) == (Status.QUEUED, None, 0, error)
    assert run.not_before is not None
    assert 15 < (run.not_before - timezone.now()).total_seconds() <= 20
    assert not PromptActivity.objects.exists()


def test_cancelling_wins_over_another_try_but_not_over_a_result(begin: Begin, team: Team) -> None:
    tries, ended, waiting = begin(3)
    jobs = {job.run_id: job for job in claim("local", 2, "w")}
    for run in (tries, ended, waiting):
        cancel_run(team.actor("editor"), run)
    assert Run.objects.get(pk=waiting.pk).status == Status.CANCELLED
    assert Run.objects.get(pk=tries.pk).status == Status.RUNNING
    leases = look_after({job.run_id: job.token for job in jobs.values()}, renew=False)
    assert leases.cancelled == {tries.pk, ended.pk}
    record([outcome_of(jobs[tries.pk], None, output=None), outcome_of(jobs[ended.pk])])
    assert Run.objects.get(pk=tries.pk).status == Status.CANCELLED
    assert Run.objects.get(pk=ended.pk).status == Status.SUCCEEDED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["run", "batch"])
def test_a_run_that_goes_back_to_the_queue_in_that_very_moment_is_cancelled_too(what: str) -> None:
    team = make_team()
    team.prompt()
    batch = batch_of(team, 1)
    (job,) = claim("local", 1, "w")
    run, actor = Run.objects.get(pk=job.run_id), team.actor("editor")

    def cancel() -> None:
        cancel_batch(actor, batch) if what == "batch" else cancel_run(actor, run)
        connection.close()

    cancelling = threading.Thread(target=cancel, daemon=True)
    with transaction.atomic():
        record([outcome_of(job, None, output=None)])
        cancelling.start()
        wait_for_a_lock()
    cancelling.join(20)
    assert not cancelling.is_alive()
    assert Run.objects.get(pk=run.pk).status == Status.CANCELLED
    assert PromptActivity.objects.get().cost_usd == Decimal("0.5")


def wait_for_a_lock(seconds: float = 20) -> None:
    """Until another connection waits for a row that this transaction holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_a_run_of_a_batch_that_was_paused_meanwhile_waits_for_it(begin: Begin, team: Team) -> None:
    batch = batch_of(team, 3)
    failed, lost = claim("local", 2, "w")
    pause_batch(team.actor("editor"), batch)
    record([outcome_of(failed, None, output=None)])
    expire(lost.run_id)
    take_back_expired()
    assert set(Run.objects.filter(batch=batch).values_list("status", "held")) == {("queued", True)}
    assert claim("local", 9, "w") == []
    resume_batch(team.actor("editor"), batch)
    (going,) = claim("local", 1, "w")
    cancel_batch(team.actor("editor"), batch)
    record([outcome_of(going, None, output=None)])
    assert set(Run.objects.filter(batch=batch).values_list("status", flat=True)) == {"cancelled"}


# --- Leases ----------------------------------------------------------------------------------------------------------


def test_a_lease_is_renewed_by_its_holder_alone(begin: Begin) -> None:
    begin(2)
    mine, other = claim("local", 2, "w")
    expire(mine.run_id, other.run_id)
    leases = look_after({mine.run_id: mine.token, other.run_id: uuid.uuid4()}, renew=True)
    assert leases.lost == {other.run_id}
    take_back_expired()
    assert Run.objects.get(pk=mine.run_id).status == Status.RUNNING
    assert Run.objects.get(pk=other.run_id).status == Status.QUEUED
    assert look_after({mine.run_id: mine.token, other.run_id: other.token}, renew=False).lost == {other.run_id}


def test_a_dead_workers_calls_are_unknown_and_its_runs_go_on_unless_they_may_not(begin: Begin, team: Team) -> None:
    safe: Any
    unsafe: Any
    (safe,), (unsafe,), (cancelled,) = begin(), begin(retry_safe=False), begin()
    claim("local", 3, "w")
    cancel_run(team.actor("editor"), cancelled)
    expire(safe.pk, unsafe.pk, cancelled.pk)
    assert set(take_back_expired()) == {unsafe.pk, cancelled.pk}
    assert take_back_expired() == []
    for run in (safe, unsafe, cancelled):
        run.refresh_from_db()
        attempt = Attempt.objects.get(run_id=run.pk)
        assert (attempt.status, attempt.cost_usd) == ("unknown", None)
    assert (safe.status, safe.claims) == (Status.QUEUED, 1)
    assert (unsafe.status, unsafe.error["kind"]) == (Status.FAILED, "worker_lost")
    assert "billed" in unsafe.error["message"]
    assert cancelled.status == Status.CANCELLED
    assert PromptActivity.objects.get().runs == 2


def test_what_a_run_costs_is_unknown_from_the_moment_that_a_call_was_lost(begin: Begin) -> None:
    (run,) = begin(retry_safe=False)
    (first,) = claim("local", 1, "w")
    record([outcome_of(first, None, cost_usd=Decimal(0), output=None)])
    Run.objects.filter(pk=run.pk).update(not_before=None)
    claim("local", 1, "w")
    expire(run.pk)
    assert take_back_expired() == [run.pk]
    run.refresh_from_db()
    assert (run.status, run.cost_usd) == (Status.FAILED, None)


def test_a_run_that_kills_its_worker_is_given_up(begin: Begin, settings: Settings) -> None:
    settings.RUN_MAX_CLAIMS = 2
    poison: Any
    poison, innocent = begin(2)
    for _ in range(2):
        assert claim("local", 1, "w")[0].run_id == poison.pk
        expire(poison.pk)
        take_back_expired()
    assert ids(claim("local", 2, "w")) == [innocent.pk]
    poison.refresh_from_db()
    assert (poison.status, poison.error["kind"], poison.attempt_count) == (Status.FAILED, "worker_lost", 2)
    assert poison.ended_at is not None
    assert PromptActivity.objects.get().failed == 1


def test_reconciling_rings_for_what_nobody_took(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[str] = []
    monkeypatch.setattr(maintenance, "ring", rung.append)
    begin()
    reconcile()
    assert rung == []  # it has only just come
    monkeypatch.setattr(maintenance, "UNTAKEN_SECONDS", -60.0)  # the clock of the transaction stands
    reconcile(awake="local")
    assert rung == []
    reconcile()
    assert rung == ["local"]
    claim("local", 1, "w")
    reconcile()
    assert rung == ["local"]


# --- What stays ------------------------------------------------------------------------------------------------------


def test_what_ended_never_changes(begin: Begin) -> None:
    begin()
    (job,) = claim("local", 1, "w")
    record([outcome_of(job)])
    run, attempt = Run.objects.filter(pk=job.run_id), Attempt.objects.filter(run_id=job.run_id)
    payload = RunPayload.objects.filter(pk=job.run_id)
    for change in (
        lambda: run.update(status="queued", ended_at=None),
        lambda: run.update(cost_usd=0),
        lambda: run.delete(),
        lambda: payload.update(output="better"),
        lambda: payload.delete(),
        lambda: attempt.update(cost_usd=0),
        lambda: attempt.delete(),
    ):
        with pytest.raises((IntegrityError, InternalError), match="what ended does not change"), transaction.atomic():
            change()
    assert run.get().status == Status.SUCCEEDED


def test_what_a_run_is_never_changes_even_while_it_waits(begin: Begin) -> None:
    (run,) = begin()
    for change in ({"label": "other"}, {"created_at": timezone.now()}, {"version": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=run.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        RunPayload.objects.filter(pk=run.pk).update(variables={"name": "Bob"})
    for impossible in ({"status": "running"}, {"status": "succeeded"}, {"status": "lost"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=run.pk).update(**impossible)


@pytest.mark.django_db(transaction=True)
def test_the_owner_may_erase_what_the_application_may_not(
    begin: Begin, session_directory: Path, database_name: str
) -> None:
    (run,) = begin()
    with services.role(session_directory, database_name, "promptops_owner") as owner:
        assert owner.execute("DELETE FROM runs_runpayload WHERE run_id = %s", [run.pk]).rowcount == 1
        owner.commit()
    assert not RunPayload.objects.filter(pk=run.pk).exists()
