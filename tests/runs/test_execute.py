"""Runs executed by real workers: what comes back, what is written down, and that it is written once."""

from __future__ import annotations

import pytest

from promptops.runs.models import Attempt, Run, RunPayload, Status
from promptops.runs.services import start_run, version_target
from tests.people import Team
from tests.processes import CeleryWorker, wait_until_ended
from tests.provider import Provider
from tests.runs.conftest import MakeEndpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("api_worker")]


def test_it_keeps_the_output_with_its_usage_and_cost(
    team: Team, make_endpoint: MakeEndpoint, provider: Provider, api_worker: CeleryWorker
) -> None:
    endpoint = make_endpoint(team)
    team.prompt()
    target = version_target(team.project, "greeting", version=1)
    run = start_run(team.actor("editor"), target, endpoint, variables={"name": "Ada"})
    (ended,) = wait_until_ended(run)
    assert ended.status == Status.SUCCEEDED, ended.error
    assert RunPayload.objects.get(pk=run.pk).output == "[You are polite.] Greet Ada in one sentence."
    assert Attempt.objects.filter(run_id=run.pk).count() == len(provider.calls) == 1
    assert Run.objects.get(pk=run.pk).output_tokens == 8
