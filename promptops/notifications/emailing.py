"""The outbox: notifications that are due by e-mail, one claim and one message at a time.

A claim is committed before the message goes out, and fences what is recorded (``email_attempts``): of two workers, one
sends. Only a worker that dies between the mail server's “OK” and our commit makes a second copy, under the same
Message-ID, which mail programs show once.
"""

from __future__ import annotations

import datetime as dt
import logging
import smtplib
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation

from promptops.notifications.backoff import wait_after
from promptops.notifications.models import Notification
from promptops.notifications.presenters import told_of
from promptops.notifications.querysets import readable

LEASE_SECONDS = 120
MAX_ATTEMPTS = 12  # with the waits of ``backoff``: a bit more than half a day
MAX_ERROR = 500

logger = logging.getLogger(__name__)

_CLAIM = f"""
UPDATE notifications_notification SET email_due_at = %(now)s + interval '{LEASE_SECONDS} seconds',
    email_attempts = email_attempts + 1
WHERE id = (SELECT id FROM notifications_notification WHERE email_due_at <= %(now)s
    ORDER BY email_due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, email_attempts
"""  # noqa: S608


@dataclass(frozen=True)
class Claim:
    notification_id: int
    attempt: int


def send_due(until: dt.datetime) -> bool:
    """Send what is due, one after the other, until that moment. Returns False where the mail server is away."""
    if not settings.EMAIL_ENABLED:
        return True
    server = get_connection()
    try:
        while timezone.now() < until and (claim := _claim()):
            if not _send(server, claim):
                return False  # the others wait until somebody looks again
        return True
    finally:
        _close(server)


def is_due() -> bool:
    """Return whether an e-mail waits to be sent now."""
    return settings.EMAIL_ENABLED and Notification.objects.filter(email_due_at__lte=timezone.now()).exists()


def _claim() -> Claim | None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"now": timezone.now()})
        row = cursor.fetchone()
    return Claim(*row) if row else None


def _send(server: BaseEmailBackend, claim: Claim) -> bool:
    """Send one and record it. Returns False where the mail server cannot be reached."""
    one = readable(Notification.objects.filter(pk=claim.notification_id, read_at=None)).first()
    if one is None:  # read meanwhile, or the person left the project
        _record(claim, email_due_at=None)
        return True
    try:
        server.open()
        server.send_messages([message_for(one)])
    except smtplib.SMTPRecipientsRefused as error:
        _failed(claim, error, permanent=all(500 <= code < 600 for code, _text in error.recipients.values()))
        return True
    except smtplib.SMTPResponseException as error:
        # A refused message says nothing of the next one; a refused sign-in or greeting does.
        _failed(claim, error)
        _close(server)
        return isinstance(error, smtplib.SMTPDataError | smtplib.SMTPSenderRefused)
    except (smtplib.SMTPException, OSError) as error:
        _failed(claim, error)
        _close(server)
        return False
    _record(claim, email_due_at=None, email_sent_at=timezone.now(), email_error="")
    return True


def _failed(claim: Claim, error: Exception, *, permanent: bool = False) -> None:
    over = permanent or claim.attempt >= MAX_ATTEMPTS
    text = f"{type(error).__name__}: {error}"[:MAX_ERROR].replace("\x00", "")
    kind = type(error).__name__  # the rest may name the person
    logger.warning("E-mail of notification %d failed, attempt %d: %s", claim.notification_id, claim.attempt, kind)
    due = None if over else timezone.now() + wait_after(claim.attempt)
    _record(claim, email_due_at=due, email_error=text)


def _record(claim: Claim, **fields: object) -> None:
    Notification.objects.filter(pk=claim.notification_id, email_attempts=claim.attempt).update(**fields)


def _close(server: BaseEmailBackend) -> None:
    try:
        server.close()
    except (smtplib.SMTPException, OSError):
        logger.debug("The mail server hung up first")


def message_for(one: Notification) -> EmailMultiAlternatives:
    """Return the message in the language of its reader, as plain text and as HTML."""
    with translation.override(one.user.language or settings.LANGUAGE_CODE):
        told = told_of(one)
        context = {
            "told": told,
            "open_url": settings.PUBLIC_URL + reverse("notifications:open", args=[one.pk]),
            "settings_url": settings.PUBLIC_URL + reverse("accounts:profile") + "#email",
            "project": one.project,
        }
        message = EmailMultiAlternatives(
            subject=" ".join(f"[{one.project.name}] {told.text}".split())[:250],  # a header is one line
            body=render_to_string("notifications/email.txt", context),
            to=[one.user.email],
            headers={
                "Message-ID": f"<notification-{one.pk}@{urlsplit(settings.PUBLIC_URL).hostname}>",
                "Auto-Submitted": "auto-generated",
                "List-Unsubscribe": f"<{context['settings_url']}>",
            },
        )
        message.attach_alternative(render_to_string("notifications/email.html", context), "text/html")
    return message
