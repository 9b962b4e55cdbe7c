"""The very first run on the embedded model, before anybody converted it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from promptops.engines.local_model import EMBEDDED_MODEL, is_converted
from promptops.runs.models import Status, Worker
from tests.people import Team
from tests.processes import CeleryWorker, wait_for, wait_until_ended
from tests.runs.conftest import Begin

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_first_run_prepares_the_model_and_says_so(team: Team, begin: Begin, tmp_path: Path) -> None:
    with CeleryWorker("local", LOCAL_MODELS_DIR=str(tmp_path)):
        (run,) = begin(team.project.endpoints.get(provider="local"), parameters={"max_tokens": 2})
        wait_for(lambda: Worker.objects.filter(note="preparing the model").exists())
        (ended,) = wait_until_ended(run, seconds=120)
        assert (ended.status, ended.error) == (Status.SUCCEEDED, None)
        assert is_converted(tmp_path / EMBEDDED_MODEL)
        wait_for(lambda: not Worker.objects.exclude(note="").exists())
    shutil.rmtree(tmp_path)
