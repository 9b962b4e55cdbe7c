"""From pending deliveries to calls, and what came of them back into the rows.

A claim is committed before the call and fences what is recorded after it (``attempts``): a webhook may be called again
when a worker died in the call, which receivers tell by the event's id; nothing is recorded twice.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from promptops.accounts.actors import SYSTEM
from promptops.accounts.models import Role, User
from promptops.audit import services as audit
from promptops.core import encryption
from promptops.core.errors import Unavailable
from promptops.notifications.backoff import wait_after
from promptops.notifications.calling import Answer, Call, call_all
from promptops.notifications.models import Delivery, DeliveryAttempt, Webhook
from promptops.notifications.notices import PING
from promptops.notifications.signing import HEADER, signature
from promptops.notifications.telling import notify

LEASE_SECONDS = 60
AT_ONCE = 8  # calls of one webhook side by side
AT_ONCE_FAILING = 2
AT_ONCE_IN_ALL = 32
USER_AGENT = "PromptOps-Webhook/1"

_CLAIM = f"""
UPDATE notifications_delivery d SET due_at = %(now)s + interval '{LEASE_SECONDS} seconds', tries = d.tries + 1,
    attempts = d.attempts + 1
FROM (
    SELECT one.id FROM notifications_webhook w CROSS JOIN LATERAL (
        SELECT p.id, p.due_at FROM notifications_delivery p
        WHERE p.webhook_id = w.id AND p.status = 'pending' AND p.due_at <= %(now)s
        ORDER BY p.due_at LIMIT CASE WHEN w.failing_since IS NULL THEN {AT_ONCE} ELSE {AT_ONCE_FAILING} END
        FOR UPDATE SKIP LOCKED
    ) one
    WHERE w.is_active ORDER BY one.due_at LIMIT {AT_ONCE_IN_ALL}
) due WHERE d.id = due.id RETURNING d.id, d.attempts
"""  # noqa: S608

_EXPIRE = """
UPDATE notifications_delivery SET status = 'failed', ended_at = %(now)s,
    error = CASE WHEN error = '' THEN 'Its time was over before it could be sent.' ELSE error END
WHERE status = 'pending' AND give_up_at < %(now)s AND due_at <= %(now)s
"""


@dataclass(frozen=True)
class Claim:
    delivery_id: uuid.UUID
    attempt: int


def deliver_due() -> int:
    """Claim what is due, call, record. Returns how many calls were made; 0: nothing is due."""
    with connection.cursor() as cursor:
        cursor.execute(_EXPIRE, {"now": timezone.now()})
        cursor.execute(_CLAIM, {"now": timezone.now()})
        claims = [Claim(*row) for row in cursor.fetchall()]
    send(claims)
    return len(claims)


def claim_one(delivery: Delivery) -> Claim | None:
    """Claim that delivery now, also of a webhook that is off; None where somebody is at it."""
    with transaction.atomic():
        row = Delivery.objects.select_for_update().get(pk=delivery.pk)
        if row.status != Delivery.Status.PENDING or row.due_at > timezone.now():
            return None
        row.due_at = timezone.now() + dt.timedelta(seconds=LEASE_SECONDS)
        row.tries, row.attempts = row.tries + 1, row.attempts + 1
        row.save(update_fields=["due_at", "tries", "attempts"])
    return Claim(row.pk, row.attempts)


def send(claims: Sequence[Claim]) -> None:
    """Call for claimed deliveries side by side, and record each answer."""
    found = Delivery.objects.select_related("webhook", "event").in_bulk([one.delivery_id for one in claims])
    started = timezone.now()
    calls: list[Call] = []
    called: list[Claim] = []
    for claim in claims:
        delivery = found.get(claim.delivery_id)
        if delivery is None:
            continue  # the webhook was deleted
        try:
            calls.append(call_for(delivery))
            called.append(claim)
        except Unavailable as error:
            record(claim, Answer(None, 0, error=str(error)), started)
    if not calls:
        return
    for claim, answer in zip(called, asyncio.run(call_all(calls)), strict=True):
        record(claim, answer, started)


def call_for(delivery: Delivery) -> Call:
    """Return the signed call. Raises Unavailable where the secret cannot be decrypted any more."""
    now = timezone.now()
    body = delivery.event.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "PromptOps-Event": delivery.event.type,
        "PromptOps-Delivery": str(delivery.pk),
        "Idempotency-Key": str(delivery.event_id),
        HEADER: signature(body, secrets_of(delivery.webhook, now), int(now.timestamp())),
    }
    return Call(delivery.webhook.url, body, headers)


def secrets_of(webhook: Webhook, now: dt.datetime) -> list[str]:
    """Return the secrets that count: the present one, and the one before it until its time is over."""
    kept = [webhook.encrypted_secret]
    if webhook.encrypted_previous and webhook.previous_until and webhook.previous_until > now:
        kept.append(webhook.encrypted_previous)
    return [encryption.decrypt(bytes(one)) for one in kept]


@transaction.atomic
def record(claim: Claim, answer: Answer, at: dt.datetime) -> None:
    """Write down what came of a call, and what follows: the end, another attempt, or the end of the webhook."""
    # The webhook before its delivery: so does who deletes it.
    Webhook.objects.select_for_update(of=("self",), no_key=True).filter(deliveries=claim.delivery_id).first()
    rows = Delivery.objects.select_for_update(of=("self",)).select_related("webhook__project", "event")
    delivery = rows.filter(pk=claim.delivery_id, attempts=claim.attempt, status=Delivery.Status.PENDING).first()
    if delivery is None:
        return  # taken over by somebody else, or deleted
    DeliveryAttempt.objects.create(
        delivery=delivery,
        number=claim.attempt,
        at=at,
        duration_ms=answer.duration_ms,
        response_status=answer.status,
        response_excerpt=answer.excerpt,
        error=answer.error,
    )
    delivery.response_status, delivery.duration_ms, delivery.error = answer.status, answer.duration_ms, answer.error
    now = timezone.now()
    following = now + wait_after(delivery.tries)
    if answer.taken:
        delivery.status, delivery.ended_at = Delivery.Status.DELIVERED, now
    elif following > delivery.give_up_at:
        delivery.status, delivery.ended_at = Delivery.Status.FAILED, now
    else:
        delivery.due_at = following
    delivery.save()
    if answer.taken or delivery.event.type != PING:  # a test that fails says so to who made it, and that is all
        _note_health(delivery.webhook, answer, now)


def _note_health(webhook: Webhook, answer: Answer, now: dt.datetime) -> None:
    if answer.taken:
        Webhook.objects.filter(pk=webhook.pk, failing_since__isnull=False).update(failing_since=None)
        return
    Webhook.objects.filter(pk=webhook.pk, failing_since=None, is_active=True).update(failing_since=now)
    too_long = now - dt.timedelta(days=settings.WEBHOOK_DISABLE_DAYS)
    ended = Webhook.objects.filter(pk=webhook.pk, is_active=True, failing_since__lt=too_long)
    if ended.update(is_active=False, disabled_at=now):
        _tell_of_the_end(webhook)


def _tell_of_the_end(webhook: Webhook) -> None:
    project = webhook.project
    audit.record(
        SYSTEM, "webhook.disabled", project_id=project.pk, target_kind="webhook", target_id=webhook.pk, detail={}
    )
    admins = User.objects.filter(memberships__project=project, memberships__role__in=[Role.ADMIN, Role.OWNER])
    notify(
        project,
        admins,
        "webhook.disabled",
        params={"host": urlsplit(webhook.url).hostname or "", "days": settings.WEBHOOK_DISABLE_DAYS},
        url=reverse("notifications:webhook", args=[project.slug, webhook.pk]),
        actor=SYSTEM,
    )
