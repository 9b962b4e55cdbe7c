"""A batch that has ended is told of once, whichever way it ended."""

from __future__ import annotations

import json
from typing import Any

from django.utils import timezone

from promptops.catalog.services import create_endpoint
from promptops.notifications.models import Event, Notification
from promptops.notifications.presenters import told_of
from promptops.notifications.services import create_webhook
from promptops.runs.maintenance import reconcile
from promptops.runs.models import Batch, Run
from promptops.runs.services import RunRequest, cancel_batch, start_batch, version_target
from tests.people import Team


def start(team: Team, count: int = 3) -> Batch:
    create_webhook(team.actor("admin"), team.project, url="https://hooks.example.com/", events=["batch.ended"])
    version = team.prompt()
    endpoint = create_endpoint(
        team.actor("admin"), team.project, slug="scripted", name="Scripted", provider="scripted", model_name="m"
    )
    target = version_target(team.project, version.prompt.slug, version=1)
    return start_batch(team.actor("editor"), target, endpoint, [RunRequest({"name": "Ada"})] * count)


def end(runs: Any, status: str = "succeeded") -> None:
    runs.update(status=status, ended_at=timezone.now())


def test_it_tells_when_the_last_run_has_ended(team: Team) -> None:
    batch = start(team)
    first = Run.objects.filter(batch=batch).order_by("id")[:1].values("pk")
    end(Run.objects.filter(pk__in=first), "failed")
    reconcile(awake="api")
    assert not Event.objects.exists()
    end(Run.objects.filter(batch=batch, status="queued"))
    reconcile(awake="api")
    told = json.loads(Event.objects.get().body)
    assert told["type"] == "batch.ended"
    assert told["data"]["batch"] == str(batch.pk)
    assert (told["data"]["succeeded"], told["data"]["failed"], told["data"]["total"]) == (2, 1, 3)
    one = Notification.objects.get()
    assert one.user == team.editor
    assert told_of(one).text == "Your batch of greeting has ended: 2 of 3 runs succeeded."
    batch.refresh_from_db()
    assert batch.ended_at is not None


def test_it_tells_once(team: Team) -> None:
    batch = start(team)
    end(Run.objects.filter(batch=batch))
    for _again in range(3):
        reconcile(awake="api")
    assert Event.objects.count() == 1
    assert Notification.objects.get().times == 1


def test_it_tells_of_a_batch_that_was_cancelled(team: Team) -> None:
    batch = start(team)
    cancel_batch(team.actor("editor"), batch)
    reconcile(awake="api")
    assert json.loads(Event.objects.get().body)["data"]["cancelled"] == 3
