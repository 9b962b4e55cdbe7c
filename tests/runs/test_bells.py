"""A bell that rings at the worst moment is still heard."""

from __future__ import annotations

import threading

import pytest

from promptops.runs import execution
from promptops.runs.claiming import Job, claim
from promptops.runs.execution import Executor
from promptops.runs.models import Status
from tests.people import Team
from tests.processes import wait_for, wait_until_ended
from tests.runs.conftest import Begin, MakeEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_that_comes_just_when_the_worker_found_nothing_is_executed(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = make_endpoint(team)
    looked, rung = threading.Event(), threading.Event()

    def claim_and_dawdle(queue: str, slots: int, worker: str) -> list[Job]:
        found = claim(queue, slots, worker)
        if not looked.is_set():
            looked.set()
            rung.wait(10)  # it has found nothing, and is about to let `work` return
        return found

    monkeypatch.setattr(execution, "claim", claim_and_dawdle)
    executor = Executor("api", "test")
    try:
        first = threading.Thread(target=executor.work, args=[20.0])
        first.start()
        assert looked.wait(10)
        (run,) = begin(endpoint)
        second = threading.Thread(target=executor.work, args=[20.0])
        second.start()
        wait_for(lambda: executor._asked == 2)
        rung.set()
        (ended,) = wait_until_ended(run, seconds=5)
        assert ended.status == Status.SUCCEEDED
        for thread in (first, second):
            thread.join(5)  # and then both find nothing more to do
            assert not thread.is_alive()
    finally:
        rung.set()
        executor.stop()
