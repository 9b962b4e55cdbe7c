"""PostgreSQL and Valkey taken away in the middle of a batch: every run ends, each result is recorded once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from promptops.prompts.models import PromptActivity
from promptops.runs.models import Attempt, Run, RunPayload, Status
from promptops.runs.services import RunRequest, start_runs, version_target
from tests.installation import PrivateInstallation
from tests.people import make_team
from tests.processes import CeleryBeat, CeleryWorker, wait_for, wait_until_ended
from tests.provider import Provider
from tests.runs.conftest import MakeEndpoint

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = {"RUN_LEASE_SECONDS": "3", "RECONCILE_SECONDS": "1", "RUN_SLOTS": "8"}
RUNS = 90


@pytest.fixture(scope="module")
def installation(django_db_setup: None, django_db_blocker: Any) -> Iterator[PrivateInstallation]:
    private = PrivateInstallation()
    try:
        with django_db_blocker.unblock():
            private.start()
        yield private
    finally:
        private.stop()


@pytest.fixture(scope="module")
def worker(installation: PrivateInstallation, django_db_blocker: Any) -> Iterator[CeleryWorker]:
    environment = installation.environment | QUICK
    with django_db_blocker.unblock(), installation.used_here():
        running = CeleryWorker("api", **environment).start()
    with running, CeleryBeat(**environment):
        yield running


def begin(endpoint: Any, slug: str, count: int, *, first: int = 0) -> list[Run]:
    """Queue runs and let nobody ring: the bell of this process is another installation's."""
    target = version_target(endpoint.project, "greeting", version=1)
    requests = [RunRequest({"name": f"number {index}"}) for index in range(first, first + count)]
    return start_runs(actor_of(slug), target, endpoint, requests)


def actor_of(slug: str) -> Any:
    from promptops.accounts.actors import user_actor
    from promptops.accounts.models import User

    return user_actor(User.objects.get(email=f"editor@{slug}.example"))


def ended_count(runs: Sequence[Run]) -> int:
    return Run.objects.filter(pk__in=[run.pk for run in runs], status=Status.SUCCEEDED).count()


def assert_recorded_once(runs: Sequence[Run], provider: Provider) -> None:
    assert {run.status for run in runs} == {Status.SUCCEEDED}
    ids = [run.pk for run in runs]
    outputs = Counter(RunPayload.objects.filter(pk__in=ids).values_list("output", flat=True))
    assert len(outputs) == len(runs)  # each its own
    attempts = Attempt.objects.filter(run_id__in=ids)
    assert attempts.filter(status="succeeded").count() == len(runs)
    assert not attempts.filter(status__in=["open", "failed"]).exists()
    # Every call has its row; a row may have no call, where the claim was committed and nobody could be told.
    assert len(runs) <= len(provider.calls) <= attempts.count()
    assert PromptActivity.objects.get(prompt=runs[0].prompt).runs == len(runs)


def test_valkey_killed_and_emptied(
    installation: PrivateInstallation, worker: CeleryWorker, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    with installation.used_here():
        team = make_team("emptied")
        team.prompt()
        endpoint = make_endpoint(team, "test-model?latency=0.4")
        runs = begin(endpoint, "emptied", RUNS)
        wait_for(lambda: ended_count(runs) >= 10)
        installation.lose_valkey()
        wait_for(lambda: ended_count(runs) >= 30)  # whoever works needs no broker
        runs += begin(endpoint, "emptied", 5, first=RUNS)
        installation.valkey.start()
        ended = wait_until_ended(*runs)
        assert_recorded_once(ended, provider)
        assert len(provider.calls) == len(runs)  # and nothing was called twice
        late = wait_until_ended(*begin(endpoint, "emptied", 3))  # the bells ring again
        assert {run.status for run in late} == {Status.SUCCEEDED}


def test_postgresql_restarted_without_a_warning(
    installation: PrivateInstallation, worker: CeleryWorker, make_endpoint: MakeEndpoint, provider: Provider
) -> None:
    from django.db import connections

    with installation.used_here():
        team = make_team("restarted")
        team.prompt()
        endpoint = make_endpoint(team, "test-model?latency=0.4")
        runs = begin(endpoint, "restarted", RUNS)
        wait_for(lambda: ended_count(runs) >= 10)
        connections.close_all()
        installation.postgres.stop(immediately=True)
        wait_for(lambda: provider.in_flight == 0)  # calls end while there is nowhere to write
        installation.postgres.start()
        ended = wait_until_ended(*runs)
        assert_recorded_once(ended, provider)
        assert "lost the database" in worker.log_text()
        assert len(worker.children()) == 2
