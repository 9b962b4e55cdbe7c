"""The whole way with a real worker: what happens in a web request rings, the worker sends and calls."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as django_settings

from promptops.notifications.models import Delivery, Notification
from promptops.notifications.services import choose_emails, create_webhook
from promptops.prompts.services import create_version, move_label
from tests.notifications.mailbox import Mailbox
from tests.notifications.receiver import Receiver
from tests.people import GREETING, make_team
from tests.processes import CeleryWorker, wait_for


@pytest.mark.django_db(transaction=True)
def test_a_moved_label_reaches_the_webhook_and_its_author(valkey: Any, receiver: Receiver, mailbox: Mailbox) -> None:
    assert django_settings.EMAIL_ENABLED
    team = make_team()
    choose_emails(team.reviewer, ["label.moved"])
    _webhook, secret = create_webhook(
        team.actor("admin"), team.project, url=receiver.url, events=["label.moved", "version.created"]
    )
    with CeleryWorker("api", EMAIL_URL=f"smtp://127.0.0.1:{mailbox.port}") as worker:
        prompt = team.prompt().prompt
        version, _new = create_version(team.actor("reviewer"), prompt, {**GREETING, "parameters": {}})
        move_label(team.actor("editor"), prompt, "production", version)
        wait_for(lambda: len(receiver.calls) == 3 and mailbox.letters, what="three calls and a letter")
        wait_for(lambda: Delivery.objects.filter(status="delivered").count() == 3, what="three deliveries recorded")
        wait_for(lambda: Notification.objects.get().email_sent_at, what="the e-mail recorded")
        assert secret not in worker.log_text()
    assert mailbox.letters[0].recipient == "reviewer@team.example"
    assert "production" in mailbox.letters[0].text()
