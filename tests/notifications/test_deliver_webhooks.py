"""Webhooks against a real receiver: signed, tried again, given up, switched off, and never where they may not go."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from promptops.audit.models import AuditEvent
from promptops.core.errors import NotFound
from promptops.notifications import calling
from promptops.notifications.backoff import wait_after
from promptops.notifications.calling import Answer
from promptops.notifications.deliveries import Claim, claim_one, deliver_due, record
from promptops.notifications.execution import deliver, forget
from promptops.notifications.models import Delivery, Event, Notification, Webhook
from promptops.notifications.services import (
    create_webhook,
    delete_webhook,
    emit,
    ping_webhook,
    redeliver,
    rotate_secret,
    update_webhook,
    webhooks,
)
from promptops.notifications.snippets import verification
from promptops.prompts.services import archive_prompt, move_label, rollback_label
from tests.notifications.receiver import Receiver
from tests.people import GREETING, Team, make_team

ALL = ["prompt.created", "prompt.archived", "version.created", "label.moved", "label.rolled_back"]


def hook(team: Team, receiver: Receiver, *events: str) -> tuple[Webhook, str]:
    return create_webhook(team.actor("admin"), team.project, url=receiver.url, events=list(events or ALL))


def happen(team: Team, number: int = 1) -> None:
    """Something of which webhooks hear."""
    emit(team.project, "label.moved", {"move": number}, url="/p/team/", actor=team.actor("editor"))


def due_now() -> None:
    Delivery.objects.update(due_at=timezone.now())


def is_genuine(receiver: Receiver, secret: str, number: int = -1) -> bool:
    """Ask the code that we give to receivers."""
    space: dict[str, Any] = {}
    exec(verification(Webhook())[0]["text"], space)  # noqa: S102
    call = receiver.calls[number]
    return bool(space["is_from_promptops"](call.body, call.headers["PromptOps-Signature"], secret))


def test_it_tells_what_happened_signed(team: Team, receiver: Receiver) -> None:
    webhook, secret = hook(team, receiver)
    version = team.prompt()
    move_label(team.actor("editor"), version.prompt, "production", version)
    deliver_due()
    told = {json.loads(call.body)["type"]: json.loads(call.body) for call in receiver.calls}
    assert set(told) == {"prompt.created", "version.created", "label.moved"}
    moved = told["label.moved"]
    assert moved["data"]["prompt"]["slug"] == "greeting"
    assert (moved["data"]["label"], moved["data"]["from"], moved["data"]["to"]) == ("production", None, 1)
    assert moved["project"]["slug"] == "team"
    assert moved["actor"]["user_id"] == team.editor.pk
    assert moved["url"].endswith("/p/team/prompts/greeting/labels/")
    assert all(is_genuine(receiver, secret, number) for number in range(3))
    assert not is_genuine(receiver, secret[:-1] + "?")
    assert set(webhook.deliveries.values_list("status", flat=True)) == {"delivered"}


def test_it_names_the_event_for_idempotency(team: Team, receiver: Receiver) -> None:
    hook(team, receiver)
    happen(team)
    deliver_due()
    (call,) = receiver.calls
    assert call.headers["Idempotency-Key"] == json.loads(call.body)["id"] == str(Event.objects.get().pk)
    assert call.headers["PromptOps-Event"] == "label.moved"
    assert call.headers["PromptOps-Delivery"] == str(Delivery.objects.get().pk)


def test_it_tells_only_what_was_asked_for_and_only_its_project(team: Team, receiver: Receiver) -> None:
    hook(team, receiver, "prompt.archived")
    create_webhook(team_actor_elsewhere(team), team.elsewhere, url=receiver.url, events=ALL)
    version = team.prompt()
    archive_prompt(team.actor("editor"), version.prompt)
    deliver_due()
    assert [call.headers["PromptOps-Event"] for call in receiver.calls] == ["prompt.archived"]


def team_actor_elsewhere(team: Team) -> Any:
    from promptops.accounts.actors import user_actor

    return user_actor(team.outsider)


def test_it_tells_of_rollbacks(team: Team, receiver: Receiver) -> None:
    hook(team, receiver, "label.rolled_back")
    version = team.prompt()
    from promptops.prompts.services import create_version

    second, _new = create_version(team.actor("editor"), version.prompt, {**GREETING, "parameters": {}})
    for one in (version, second):
        move_label(team.actor("editor"), version.prompt, "production", one)
    rollback_label(team.actor("editor"), version.prompt, "production")
    deliver_due()
    assert json.loads(receiver.calls[0].body)["data"]["to"] == 1


def test_it_makes_no_event_that_nobody_wants(team: Team) -> None:
    team.prompt()
    assert not Event.objects.exists()


def test_it_tries_again_until_it_is_taken(team: Team, receiver: Receiver) -> None:
    webhook, secret = hook(team, receiver)
    receiver.answers = [500, 503]
    happen(team)
    deliver_due()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.response_status, delivery.tries) == ("pending", 500, 1)
    assert dt.timedelta(seconds=3) < delivery.due_at - timezone.now() < dt.timedelta(seconds=11)
    assert deliver_due() == 0, "not before its time"
    webhook.refresh_from_db()
    assert webhook.failing_since is not None
    due_now()
    deliver_due()
    due_now()
    deliver_due()
    delivery.refresh_from_db()
    webhook.refresh_from_db()
    assert (delivery.status, delivery.attempts) == ("delivered", 3)
    assert webhook.failing_since is None
    log = delivery.log.order_by("number")
    assert [one.response_status for one in log] == [500, 503, 200]
    assert log[2].response_excerpt == "thanks"
    assert len({call.headers["Idempotency-Key"] for call in receiver.calls}) == 1
    assert is_genuine(receiver, secret)


def test_the_waits_grow_to_hours_and_differ() -> None:
    waits = [wait_after(tries).total_seconds() for tries in range(1, 13)]
    assert 5 <= waits[0] <= 10
    assert 2 * 3600 <= waits[-1] <= 4 * 3600
    assert len({wait_after(3) for _ in range(10)}) > 1


def test_it_gives_up_after_a_day(team: Team, receiver: Receiver) -> None:
    hook(team, receiver)
    receiver.answers = [500, 500]
    happen(team)
    Delivery.objects.update(give_up_at=timezone.now() + dt.timedelta(seconds=1))
    deliver_due()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("failed", 1)
    assert delivery.ended_at is not None
    due_now()
    assert deliver_due() == 0


def test_it_follows_no_redirect(team: Team, receiver: Receiver) -> None:
    with Receiver() as elsewhere:
        receiver.answers, receiver.location = [302], elsewhere.url
        hook(team, receiver)
        happen(team)
        deliver_due()
        assert not elsewhere.calls
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.response_status) == ("pending", 302)
    assert "redirect" in delivery.error


def test_it_calls_no_private_address(team: Team, receiver: Receiver, settings: Any) -> None:
    hook(team, receiver)
    settings.ALLOWED_PROVIDER_HOSTS = []
    Webhook.objects.update(url=receiver.url.replace("127.0.0.1", "localhost"))  # a name that leads to a private address
    happen(team)
    deliver_due()
    delivery = Delivery.objects.get()
    assert not receiver.calls
    assert delivery.response_status is None
    assert "not a public address" in delivery.error


def test_it_does_not_wait_for_ever(team: Team, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "SECONDS", 0.2)
    receiver.delay = 2
    hook(team, receiver)
    happen(team)
    deliver_due()
    assert "No answer within" in Delivery.objects.get().error


def test_it_reads_little_of_an_answer(team: Team, receiver: Receiver) -> None:
    receiver.text = b"x" * 5_000_000
    hook(team, receiver)
    happen(team)
    deliver_due()
    delivery = Delivery.objects.get()
    assert delivery.status == "delivered"
    assert len(delivery.log.get().response_excerpt) == 1000


def test_it_calls_side_by_side(team: Team, receiver: Receiver) -> None:
    hook(team, receiver)
    receiver.delay = 0.5
    for number in range(8):
        happen(team, number)
    deliver_due()
    assert len(receiver.calls) == 8
    assert receiver.most_at_once >= 4


def test_both_secrets_sign_while_they_change_over(team: Team, receiver: Receiver) -> None:
    webhook, old = hook(team, receiver)
    webhook, new = rotate_secret(team.actor("admin"), webhook)
    happen(team)
    deliver_due()
    assert is_genuine(receiver, old)
    assert is_genuine(receiver, new)
    Webhook.objects.update(previous_until=timezone.now() - dt.timedelta(seconds=1))
    happen(team)
    deliver_due()
    assert not is_genuine(receiver, old)
    assert is_genuine(receiver, new)


def test_a_webhook_that_fails_for_days_is_switched_off_and_the_admins_hear_of_it(
    team: Team, receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOK_DISABLE_DAYS = 3
    webhook, _secret = hook(team, receiver)
    receiver.answers = [500, 500, 500]
    happen(team)
    deliver_due()
    webhook.refresh_from_db()
    assert webhook.is_active, "one failure is no reason"
    Webhook.objects.update(failing_since=timezone.now() - dt.timedelta(days=3, seconds=1))
    happen(team)
    due_now()
    deliver_due()
    webhook.refresh_from_db()
    assert not webhook.is_active
    assert webhook.disabled_at is not None
    told = Notification.objects.filter(kind="webhook.disabled")
    assert {one.user for one in told} == {team.owner, team.admin}
    assert AuditEvent.objects.filter(action="webhook.disabled", actor_kind="system").count() == 1
    before = len(receiver.calls)
    happen(team)
    due_now()
    assert deliver_due() == 0
    assert len(receiver.calls) == before
    update_webhook(team.actor("admin"), webhook, is_active=True)
    due_now()
    deliver_due()
    assert len(receiver.calls) > before, "what waited goes on when it is switched on again"


def test_what_a_webhook_that_is_off_could_not_take_ends_with_its_day(team: Team, receiver: Receiver) -> None:
    webhook, _secret = hook(team, receiver)
    happen(team)
    update_webhook(team.actor("admin"), webhook, is_active=False)
    Delivery.objects.update(give_up_at=timezone.now() - dt.timedelta(seconds=1))
    assert deliver_due() == 0
    assert Delivery.objects.get().status == "failed"


def test_a_worker_that_died_is_made_up_for_and_its_late_word_does_not_count(team: Team, receiver: Receiver) -> None:
    hook(team, receiver)
    happen(team)
    claim = claim_one(Delivery.objects.get())
    assert claim is not None
    assert deliver_due() == 0, "it is held"
    due_now()  # its lease is over
    deliver_due()
    record(claim, Answer(500, 5, "late"), timezone.now())
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.log.count()) == ("delivered", 2, 1)


def test_what_is_recorded_twice_counts_once(team: Team, receiver: Receiver) -> None:
    hook(team, receiver)
    happen(team)
    deliver_due()
    delivery = Delivery.objects.get()
    record(Claim(delivery.pk, delivery.attempts), Answer(500, 5), timezone.now())
    delivery.refresh_from_db()
    assert (delivery.status, delivery.log.count()) == ("delivered", 1)


def test_a_webhook_that_is_deleted_in_the_call_leaves_nothing(team: Team, receiver: Receiver) -> None:
    webhook, _secret = hook(team, receiver)
    happen(team)
    claim = claim_one(Delivery.objects.get())
    delete_webhook(team.actor("admin"), webhook)
    assert claim is not None
    record(claim, Answer(200, 5), timezone.now())
    assert not Delivery.objects.exists()


def test_a_test_is_sent_at_once_even_where_it_is_off(team: Team, receiver: Receiver) -> None:
    webhook, secret = hook(team, receiver)
    update_webhook(team.actor("admin"), webhook, is_active=False)
    delivery = ping_webhook(team.actor("admin"), webhook)
    assert (delivery.status, delivery.response_status) == ("delivered", 200)
    assert json.loads(receiver.calls[0].body)["type"] == "ping"
    assert is_genuine(receiver, secret)


def test_a_test_that_fails_is_not_repeated_and_blames_nobody(team: Team, receiver: Receiver) -> None:
    webhook, _secret = hook(team, receiver)
    receiver.answers = [404]
    delivery = ping_webhook(team.actor("admin"), webhook)
    assert (delivery.status, delivery.response_status) == ("failed", 404)
    webhook.refresh_from_db()
    assert webhook.failing_since is None


@pytest.mark.django_db(transaction=True)
def test_a_test_is_not_given_up_by_a_worker_that_looks_just_then(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = make_team()
    webhook, _secret = hook(team, receiver)
    written = webhooks._record

    def and_a_worker_looks(*args: Any, **detail: Any) -> None:
        transaction.on_commit(deliver_due)
        written(*args, **detail)

    monkeypatch.setattr(webhooks, "_record", and_a_worker_looks)
    sent = ping_webhook(team.actor("admin"), webhook)
    assert (sent.status, sent.tries, len(receiver.calls)) == ("delivered", 1, 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", [update_webhook, delete_webhook, rotate_secret])
def test_what_comes_after_a_deletion_says_so(act: Any) -> None:
    team = make_team()
    webhook, _secret = create_webhook(team.actor("admin"), team.project, url="https://a.example/", events=ALL)
    delete_webhook(team.actor("admin"), webhook)
    with pytest.raises(NotFound, match="deleted"):
        act(team.actor("admin"), webhook)


def test_a_webhook_that_is_deleted_while_it_is_tested_says_so(
    team: Team, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, _secret = hook(team, receiver)
    monkeypatch.setattr(webhooks, "send", lambda claims: delete_webhook(team.actor("owner"), webhook))
    with pytest.raises(NotFound, match="deleted"):
        ping_webhook(team.actor("admin"), webhook)


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_is_deleted_meanwhile_does_not_undo_what_it_is_told_of(receiver: Receiver) -> None:
    team = make_team()
    webhook, _secret = hook(team, receiver)
    deleting = beside(lambda: delete_webhook(team.actor("admin"), webhook))
    with transaction.atomic():
        happen(team)
        deleting.start()
        deleting.join(1)  # it waits for us
    deleting.join(20)
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
    assert Event.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_recording_and_deleting_do_not_wait_for_each_other_crosswise(receiver: Receiver) -> None:
    team = make_team()
    webhook, _secret = hook(team, receiver)
    with transaction.atomic():
        happen(team)
    claim = claim_one(Delivery.objects.get())
    assert claim is not None
    recording = beside(lambda: record(claim, Answer(500, 5), timezone.now()))
    with transaction.atomic():
        Webhook.objects.select_for_update().get(pk=webhook.pk)  # as who deletes it does, and then its deliveries:
        recording.start()
        recording.join(1)
        Delivery.objects.select_for_update(nowait=True).get()
    recording.join(20)
    webhook.refresh_from_db()
    assert webhook.failing_since is not None


def beside(act: Callable[[], object]) -> threading.Thread:
    """Something that another process does at the same time."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    return threading.Thread(target=run)


def test_what_failed_can_be_sent_again_under_the_same_id(team: Team, receiver: Receiver) -> None:
    hook(team, receiver)
    receiver.answers = [500]
    happen(team)
    Delivery.objects.update(give_up_at=timezone.now() + dt.timedelta(seconds=1))
    deliver_due()
    failed = Delivery.objects.get()
    assert failed.status == "failed"
    again = redeliver(team.actor("admin"), failed)
    assert (again.status, again.attempts) == ("delivered", 2)
    first, second = receiver.calls
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.body == second.body


def test_the_secret_is_seen_nowhere(team: Team, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    webhook, secret = hook(team, receiver)
    webhook, new = rotate_secret(team.actor("admin"), webhook)
    receiver.answers = [500, 200]
    happen(team)
    deliver_due()
    due_now()
    deliver_due()
    Webhook.objects.update(url="http://127.0.0.1:1/hook")
    happen(team)
    deliver_due()
    seen = [
        caplog.text,
        *(event.payload for event in AuditEvent.objects.all()),
        *(str(call) for call in receiver.calls),
        *(f"{one.error}{one.event.body}" for one in Delivery.objects.select_related("event")),
    ]
    for one in (secret, new):
        assert not any(one in text for text in seen)
        assert one.encode() not in bytes(webhook.encrypted_secret) + bytes(webhook.encrypted_previous or b"")


def test_old_deliveries_are_forgotten(team: Team, receiver: Receiver) -> None:
    hook(team, receiver)
    happen(team)
    deliver_due()
    happen(team)
    Event.objects.filter(deliveries__status="delivered").update(at=timezone.now() - dt.timedelta(days=31))
    forget()
    assert Delivery.objects.get().status == "pending"
    assert Event.objects.count() == 1


def test_one_worker_delivers_at_a_time(team: Team, receiver: Receiver) -> None:
    import psycopg

    from promptops.notifications.execution import LOCK

    hook(team, receiver)
    happen(team)
    other = psycopg.connect(**{**connection.get_connection_params(), "cursor_factory": psycopg.Cursor, "context": None})
    with other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        deliver()
        assert not receiver.calls
        other.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
    deliver()
    assert len(receiver.calls) == 1
