"""The beat: tidies when it starts, and finds what nobody was told of."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from promptops.runs.models import Status, Worker
from tests.people import Team
from tests.processes import CeleryBeat, CeleryWorker, wait_for, wait_until_ended
from tests.runs.conftest import Begin, MakeEndpoint

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_tidies_at_its_start_and_rings_for_a_run_whose_bell_was_lost(
    team: Team, begin: Begin, make_endpoint: MakeEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    Worker.objects.create(name="api@gone:1", queue="api", seen_at=timezone.now() - dt.timedelta(hours=2))
    monkeypatch.setattr("promptops.runs.services.ring", lambda queue: None)
    with CeleryWorker("api"), CeleryBeat(RECONCILE_SECONDS="1"):
        (run,) = begin(make_endpoint(team))
        wait_for(lambda: not Worker.objects.filter(name="api@gone:1").exists())
        (ended,) = wait_until_ended(run)
        assert ended.status == Status.SUCCEEDED
        assert ended.started_at is not None
        assert (ended.started_at - ended.created_at).total_seconds() > 1  # nobody heard of it at once
