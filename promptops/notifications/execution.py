"""What the worker does when the bell rings: send what is due, both ways, for a while."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator

from django.db import connection
from django.utils import timezone

from promptops.notifications import emailing
from promptops.notifications.deliveries import deliver_due
from promptops.notifications.doorbell import ring
from promptops.notifications.models import Delivery, DeliveryAttempt, Event, Notification

ROUND = dt.timedelta(seconds=20)
LOCK = 0x6E6F7469  # any number that nothing else locks
KEEP_EVENTS = dt.timedelta(days=30)
KEEP_READ = dt.timedelta(days=90)
KEEP_UNREAD = dt.timedelta(days=365)


def deliver() -> None:
    """Send for some seconds, then hand over to a fresh bell.

    One worker at a time: a receiver that is slow must not hold the workers that runs are waiting for. Whoever comes
    second leaves; the first looks once more after it has let go, so nothing that came meanwhile lies around.
    """
    until = timezone.now() + ROUND
    again = True
    while again and timezone.now() < until:
        with _alone() as alone:
            if not alone:
                return
            while deliver_due() and timezone.now() < until:
                pass
            reachable = emailing.send_due(until)
        again = _calls_are_due() or (reachable and emailing.is_due())
    if again:
        ring()


@contextlib.contextmanager
def _alone() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
        row = cursor.fetchone()
    taken = bool(row and row[0])
    try:
        yield taken
    finally:
        if taken:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def _calls_are_due() -> bool:
    due = Delivery.objects.filter(status=Delivery.Status.PENDING, due_at__lte=timezone.now(), webhook__is_active=True)
    return due.exists()


def forget() -> None:
    """Daily: delete what has had its time."""
    now = timezone.now()
    Notification.objects.filter(read_at__lt=now - KEEP_READ).delete()
    Notification.objects.filter(at__lt=now - KEEP_UNREAD).delete()
    old = Delivery.objects.filter(event__at__lt=now - KEEP_EVENTS).exclude(status=Delivery.Status.PENDING)
    DeliveryAttempt.objects.filter(delivery__in=old).delete()
    old.delete()
    Event.objects.filter(at__lt=now - KEEP_EVENTS, deliveries=None).delete()
