"""Workers that die, freeze or are stopped in the middle of calls: every run still ends, each result is kept once."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from promptops.prompts.models import PromptActivity
from promptops.runs.models import Attempt, Run, RunPayload, Status, Worker
from tests.people import Team
from tests.processes import CeleryBeat, CeleryWorker, wait_for, wait_until_ended
from tests.provider import Provider
from tests.runs.conftest import Begin, MakeEndpoint

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "[You are polite.] Greet Ada in one sentence."
QUICK = {"RUN_LEASE_SECONDS": "2", "RECONCILE_SECONDS": "1"}


def held_by(worker: CeleryWorker, runs: Sequence[Run]) -> set[str]:
    """The ids of those runs that the processes of this worker hold."""
    pids = {str(pid) for pid in (worker.pid, *worker.children())}
    found = Run.objects.filter(pk__in=[run.pk for run in runs], status=Status.RUNNING)
    return {str(run.pk) for run in found if run.worker.rpartition(":")[2] in pids}


def attempts_of(run: Run) -> list[str]:
    return list(Attempt.objects.filter(run_id=run.pk).order_by("number").values_list("status", flat=True))


def assert_ledgers_agree(runs: Sequence[Run], provider: Provider) -> None:
    """Nothing was called without a row, and whoever died left a row that says so."""
    attempts = Attempt.objects.filter(run_id__in=[run.pk for run in runs])
    assert attempts.count() == len(provider.calls)
    wait_for(lambda: provider.in_flight == 0)
    broken = [call for call in provider.calls if call.outcome == "cancelled"]
    assert attempts.filter(status="unknown").count() == len(broken)
    assert attempts.filter(status="succeeded").count() == len(provider.calls) - len(broken)
    assert not attempts.filter(status="open").exists()
    assert PromptActivity.objects.get().runs == len(runs)


def test_what_a_killed_worker_held_is_taken_over_by_a_busy_one(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team, "test-model?latency=4")
    with CeleryWorker("api", RUN_SLOTS="16", **QUICK) as killed, CeleryWorker("api", RUN_SLOTS="16", **QUICK) as other:
        runs = begin(endpoint, 44) + begin(endpoint, 8, retry_safe=False)
        wait_for(lambda: provider.in_flight == len(runs))
        lost = held_by(killed, runs)
        assert lost
        assert held_by(other, runs)
        killed.kill()
        # No beat runs here: the other one looks for itself, although all its processes are busy.
        ended = wait_until_ended(*runs)
    for run in ended:
        if str(run.pk) not in lost:
            assert (run.status, attempts_of(run)) == (Status.SUCCEEDED, ["succeeded"])
        elif run.retry_safe:
            assert (run.status, attempts_of(run)) == (Status.SUCCEEDED, ["unknown", "succeeded"])
        else:
            assert (run.status, attempts_of(run)) == (Status.FAILED, ["unknown"])
            assert run.error["kind"] == "worker_lost"
        if run.status == Status.SUCCEEDED:
            assert RunPayload.objects.get(pk=run.pk).output == TEXT
    assert_ledgers_agree(ended, provider)


def test_a_killed_child_is_replaced_and_its_runs_end(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team, "test-model?latency=1")
    with CeleryBeat(**QUICK), CeleryWorker("api", **QUICK) as worker:
        runs = begin(endpoint, 100)
        wait_for(lambda: provider.in_flight == len(runs))
        first, second = worker.children()
        os.kill(first, signal.SIGKILL)
        ended = wait_until_ended(*runs)
        wait_for(lambda: len(worker.children()) == 2)
        assert second in worker.children()
        os.kill(second, signal.SIGKILL)  # what is alive now is the new one
        more = begin(endpoint)
        ended += wait_until_ended(*more)
    assert {run.status for run in ended} == {Status.SUCCEEDED}
    assert {tuple(attempts_of(run)) for run in ended} == {("succeeded",), ("unknown", "succeeded")}
    assert_ledgers_agree(ended, provider)


def test_a_frozen_worker_changes_nothing_when_it_comes_back(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    endpoint = make_endpoint(team, "test-model?latency=1&tokens=5")
    with CeleryWorker("api", **QUICK) as frozen:
        runs = begin(endpoint, 6)
        wait_for(lambda: provider.in_flight == len(runs))
        frozen.freeze()
        with CeleryBeat(**QUICK), CeleryWorker("api", **QUICK) as other:
            ended = wait_until_ended(*runs)
            assert {attempt for run in ended for attempt in attempts_of(run)} == {"unknown", "succeeded"}
            before = list(Run.objects.order_by("pk").values()), list(Attempt.objects.order_by("pk").values())
            pids = {str(pid) for pid in other.children()}
            assert {run.worker.rpartition(":")[2] for run in ended} <= pids
            assert len(provider.calls) == 12  # the frozen one's calls were answered too, to nobody
        frozen.thaw()
        wait_for(lambda: "taken over" in frozen.log_text())
        assert before == (list(Run.objects.order_by("pk").values()), list(Attempt.objects.order_by("pk").values()))
        (again,) = wait_until_ended(*begin(endpoint))
        assert (again.status, attempts_of(again)) == (Status.SUCCEEDED, ["succeeded"])


def test_a_worker_that_is_asked_to_stop_ends_its_calls_or_gives_them_back(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    short, long = make_endpoint(team, "test-model?latency=1.5"), make_endpoint(team, "test-model?latency=60")
    with CeleryWorker("api") as worker:
        soon, later, never = begin(short, 3), begin(long, 2), begin(long, 1, retry_safe=False)
        wait_for(lambda: provider.in_flight == 6)
        assert worker.stop() == 0
    assert {run.status for run in Run.objects.filter(pk__in=[run.pk for run in soon])} == {Status.SUCCEEDED}
    for run in Run.objects.filter(pk__in=[run.pk for run in later]):
        assert (run.status, run.lease_token, attempts_of(run)) == (Status.QUEUED, None, ["cancelled"])
        assert run.claims == 0  # this is no run that kills its worker
    failed: Any = Run.objects.get(pk=never[0].pk)
    assert (failed.status, failed.error["kind"]) == (Status.FAILED, "worker_stopped")
    wait_for(lambda: provider.in_flight == 0)
    assert not Worker.objects.exists()


def test_the_local_worker_finds_what_was_lost_while_no_other_is_there(
    team: Team,
    begin: Begin,
    make_endpoint: MakeEndpoint,
    provider: Provider,
    embedded_model: object,
    valkey: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with CeleryWorker("api", **QUICK) as worker:
        runs = begin(make_endpoint(team, "test-model?latency=30"), 3)
        wait_for(lambda: provider.in_flight == 3)
        worker.kill()
    monkeypatch.setattr("promptops.runs.services.ring", lambda queue: None)  # a bell that nobody hears
    (local,) = begin(team.project.endpoints.get(provider="local"), parameters={"max_tokens": 3})
    with CeleryBeat(**QUICK), CeleryWorker("local", **QUICK):
        (ended,) = wait_until_ended(local, seconds=60)
        assert (ended.status, ended.finish_reason, ended.output_tokens) == (Status.SUCCEEDED, "length", 3)
        assert RunPayload.objects.get(pk=local.pk).output
        wait_for(lambda: {run.status for run in Run.objects.filter(pk__in=[r.pk for r in runs])} == {"queued"})
        assert {tuple(attempts_of(run)) for run in runs} == {("unknown",)}
        wait_for(lambda: valkey.llen("api"))  # it was rung for them
