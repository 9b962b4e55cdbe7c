"""What people are told (inbox, e-mail), and what other services are told (webhooks).

The rows are the truth and the message to the worker is a doorbell: a row that is due is sent by whoever looks next, so
a lost broker, a dead worker or a mail server that is down delays a message and loses none.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from promptops.accounts.models import Project, User
from promptops.core.ids import uuid7


class Notification(models.Model):
    """One thing that one person should know. No text is stored: ``kinds`` writes it, in the reader's language.

    While it is unread, the same thing happening again is the same row (``key``), counted in ``times``. ``email_*`` is
    the outbox: it is to be sent while ``email_due_at`` is set.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="notifications")
    kind = models.CharField(max_length=60)
    params = models.JSONField(_("ids and short names that the text needs"), default=dict)
    url = models.CharField(_("path of the page to open"), max_length=500)
    key = models.CharField(_("what makes it the same thing"), max_length=200)
    actor_kind = models.CharField(max_length=10)
    actor_user = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    times = models.PositiveIntegerField(_("how often it happened while unread"), default=1)
    at = models.DateTimeField(_("when, the last time"), default=timezone.now)
    read_at = models.DateTimeField(null=True)

    email_due_at = models.DateTimeField(null=True)
    email_sent_at = models.DateTimeField(null=True)
    email_attempts = models.PositiveSmallIntegerField(default=0)
    email_error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        verbose_name = _("notification")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "project", "kind", "key"], condition=Q(read_at=None), name="notification_unread_once"
            )
        ]
        indexes = [
            models.Index(fields=["user", "-at", "-id"], name="notification_newest"),
            models.Index(fields=["email_due_at"], condition=Q(email_due_at__isnull=False), name="notification_due"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.user_id}"


class EmailChoice(models.Model):
    """Whether a person wants e-mail of a kind, once they have chosen; before that the kind itself says."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="email_choices")
    kind = models.CharField(max_length=60)
    wanted = models.BooleanField()

    class Meta:
        verbose_name = _("e-mail setting")
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="email_choice_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.kind}"


class Webhook(models.Model):
    """An address of the team's own that is told what happens in the project, signed with a secret of ours.

    After a rotation the old secret signs too, until ``previous_until``: receivers change over without losing a call.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(_("URL"), max_length=1000)
    description = models.CharField(_("what it is for"), max_length=200, blank=True, default="")
    events = ArrayField(models.CharField(max_length=60), verbose_name=_("events"))
    is_active = models.BooleanField(_("active"), default=True)
    encrypted_secret = models.BinaryField()
    last_four = models.CharField(max_length=4)
    encrypted_previous = models.BinaryField(null=True)
    previous_until = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    disabled_at = models.DateTimeField(_("switched off by us, after failing for days"), null=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("webhook")
        indexes = [models.Index(fields=["project", "-id"], name="webhook_newest")]

    def __str__(self) -> str:
        return self.url


class Event(models.Model):
    """Something that happened, exactly as every webhook is told of it: ``body`` is what is signed and sent."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=60)
    body = models.TextField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("event")
        indexes = [models.Index(fields=["at"], name="webhook_event_age")]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class Delivery(models.Model):
    """An event on its way to one webhook. While it is pending, ``due_at`` says when it is tried (again).

    A claim moves ``due_at`` ahead by a lease and counts the attempt: a worker that dies in the call is made up for
    when the lease is over, and what it records late is refused, since ``attempts`` has moved on.
    """

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="deliveries")
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.PENDING)
    due_at = models.DateTimeField(default=timezone.now)
    give_up_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(_("attempts since it was queued"), default=0)
    attempts = models.PositiveSmallIntegerField(_("attempts in all"), default=0)
    response_status = models.PositiveSmallIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("delivery")
        constraints = [
            models.CheckConstraint(
                condition=Q(status="pending", ended_at=None)
                | (Q(status__in=["delivered", "failed"]) & Q(ended_at__isnull=False)),
                name="delivery_ended_has_end",
            )
        ]
        indexes = [
            models.Index(fields=["webhook", "-id"], name="delivery_newest"),
            models.Index(fields=["webhook", "due_at"], condition=Q(status="pending"), name="delivery_due"),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.status}"


class DeliveryAttempt(models.Model):
    """One call of a webhook: what it answered, or why it could not be reached. Times are milliseconds."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    response_status = models.PositiveSmallIntegerField(null=True)
    response_excerpt = models.TextField(blank=True, default="")
    error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        verbose_name = _("attempt")
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="delivery_attempt_once")]

    def __str__(self) -> str:
        return f"{self.delivery_id}#{self.number}"
