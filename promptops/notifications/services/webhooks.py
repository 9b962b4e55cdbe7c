"""Webhooks: where the project's events go. Their secrets are made here, shown once, and stored encrypted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import SYSTEM, Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, require
from promptops.accounts.secrets import new_secret
from promptops.audit import services as audit
from promptops.core import egress, encryption
from promptops.core.errors import Conflict, Invalid, NotFound, Unavailable
from promptops.notifications.deliveries import Claim, claim_one, send
from promptops.notifications.kinds import event_types
from promptops.notifications.models import Delivery, Webhook
from promptops.notifications.notices import PING
from promptops.notifications.services.events import TRY_FOR, make_event

Row = TypeVar("Row", Webhook, Delivery)

MAX_WEBHOOKS = 20
MAX_URL = 1000
MAX_DESCRIPTION = 200
SECRET_MARK = "whsec_"  # noqa: S105 - the public beginning of every secret, not a secret
OVERLAP = dt.timedelta(hours=24)
"""For so long after a rotation the old secret signs too."""


@transaction.atomic
def create_webhook(
    actor: Actor, project: Project, *, url: str, events: Sequence[str], description: str = ""
) -> tuple[Webhook, str]:
    """Make a webhook. Returns it with its secret, which nothing shows again.

    Raises:
        Invalid: a field is malformed, the address is refused, or an event is unknown (``errors`` by field).
        Conflict: the project has as many as it may have.
    """
    require(actor, project, Permission.ADMIN)
    fields = _clean(url=url, events=events, description=description)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # two makers count one after the other
    if Webhook.objects.filter(project=project).count() >= MAX_WEBHOOKS:
        raise Conflict(_("A project has at most %d webhooks. Delete one first.") % MAX_WEBHOOKS, code="too_many")
    secret = new_secret(SECRET_MARK)
    webhook = Webhook.objects.create(
        project=project,
        encrypted_secret=encryption.encrypt(secret),
        last_four=secret[-4:],
        created_by=actor.user,
        **fields,
    )
    _record(actor, "webhook.created", webhook, host=_host(webhook.url), events=sorted(webhook.events))
    return webhook, secret


@transaction.atomic
def update_webhook(
    actor: Actor,
    webhook: Webhook,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    is_active: bool | None = None,
) -> Webhook:
    """Change a webhook (None leaves a field). Switching it on again forgets that it failed.

    Raises:
        Invalid: as ``create_webhook``.
    """
    require(actor, webhook.project, Permission.ADMIN)
    webhook = _locked(webhook)
    fields = _clean(
        url=webhook.url if url is None else url,
        events=webhook.events if events is None else events,
        description=webhook.description if description is None else description,
    )
    if is_active is not None:
        fields["is_active"] = is_active
    changed = sorted(name for name, value in fields.items() if getattr(webhook, name) != value)
    if not changed:
        return webhook
    for name, value in fields.items():
        setattr(webhook, name, value)
    if webhook.is_active and "is_active" in changed:
        webhook.failing_since = webhook.disabled_at = None
    webhook.save()
    _record(actor, "webhook.updated", webhook, fields=changed, host=_host(webhook.url))
    return webhook


@transaction.atomic
def delete_webhook(actor: Actor, webhook: Webhook) -> None:
    """Delete a webhook with its deliveries and secrets. What is on its way still arrives."""
    require(actor, webhook.project, Permission.ADMIN)
    webhook = _locked(webhook)
    _record(actor, "webhook.deleted", webhook, host=_host(webhook.url))
    webhook.delete()


@transaction.atomic
def rotate_secret(actor: Actor, webhook: Webhook) -> tuple[Webhook, str]:
    """Make a new secret, and return it: nothing shows it again. The one before signs too for ``OVERLAP``."""
    require(actor, webhook.project, Permission.ADMIN)
    webhook = _locked(webhook)
    secret = new_secret(SECRET_MARK)
    webhook.encrypted_previous, webhook.previous_until = webhook.encrypted_secret, timezone.now() + OVERLAP
    webhook.encrypted_secret, webhook.last_four = encryption.encrypt(secret), secret[-4:]
    webhook.save(update_fields=["encrypted_previous", "previous_until", "encrypted_secret", "last_four"])
    _record(actor, "webhook.secret_rotated", webhook)
    return webhook, secret


def ping_webhook(actor: Actor, webhook: Webhook) -> Delivery:
    """Send a ``ping`` now, also where the webhook is off, once. Takes as long as it takes to answer (10 s at most)."""
    require(actor, webhook.project, Permission.ADMIN)
    with transaction.atomic():
        page = reverse("notifications:webhook", args=[webhook.project.slug, webhook.pk])
        event = make_event(webhook.project, PING, {"webhook": webhook.pk}, url=page, actor=actor)
        # Its time is over at once, so that it is tried once.
        delivery = Delivery.objects.create(webhook=webhook, event=event, due_at=event.at, give_up_at=event.at)
        _record(actor, "webhook.tested", webhook)
        claim = claim_one(delivery)
    return _send_now(delivery, claim)


def redeliver(actor: Actor, delivery: Delivery) -> Delivery:
    """Send an event again, now; where that fails, the attempts of a day begin anew. Its id stays the same.

    Raises:
        Conflict: it is on its way (code ``in_flight``).
        NotFound: the webhook was deleted meanwhile, as everywhere here.
    """
    webhook = delivery.webhook
    require(actor, webhook.project, Permission.ADMIN)
    with transaction.atomic():
        rows = Delivery.objects.select_for_update(of=("self",)).select_related("webhook__project")
        row = _still_there(rows.filter(pk=delivery.pk).first())
        now = timezone.now()
        leased = row.status == Delivery.Status.PENDING and row.tries > 0 and row.due_at > now
        if leased and not row.log.filter(number=row.attempts).exists():
            raise Conflict(_("This delivery is being sent just now. Wait some seconds."), code="in_flight")
        row.status, row.ended_at, row.due_at, row.give_up_at, row.tries = "pending", None, now, now + TRY_FOR, 0
        row.save(update_fields=["status", "ended_at", "due_at", "give_up_at", "tries"])
        _record(actor, "webhook.redelivered", webhook, delivery=str(row.pk))
        claim = claim_one(row)
    return _send_now(row, claim)


@dataclass(frozen=True)
class Rotation:
    """``unreadable``: ids of webhooks whose secret none of the configured keys decrypts."""

    rotated: int
    unreadable: list[int]


def rotate_keys() -> Rotation:
    """Encrypt every secret again under the newest of ``ENCRYPTION_KEYS``, one short transaction each."""
    rotated, unreadable = 0, []
    for pk in Webhook.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            webhook = Webhook.objects.select_for_update(of=("self",)).select_related("project").get(pk=pk)
            try:
                for name in ("encrypted_secret", "encrypted_previous"):
                    if kept := getattr(webhook, name):
                        encryption.decrypt(bytes(kept))
                        setattr(webhook, name, encryption.rotate(bytes(kept)))
            except Unavailable:
                unreadable.append(webhook.pk)
                continue
            webhook.save(update_fields=["encrypted_secret", "encrypted_previous"])
            _record(SYSTEM, "webhook.rotated", webhook)
            rotated += 1
    return Rotation(rotated, unreadable)


def subscribable() -> dict[str, str]:
    """Return the events that a webhook can choose (all but the test) with their labels."""
    return {key: str(one.label) for key, one in event_types().items() if key != PING}


def _send_now(delivery: Delivery, claim: Claim | None) -> Delivery:
    """Send what was claimed in the transaction that made it due: no worker can have come in between."""
    if claim is not None:
        send([claim])
    rows = Delivery.objects.select_related("webhook__project", "event")
    return _still_there(rows.filter(pk=delivery.pk).first())


def _locked(webhook: Webhook) -> Webhook:
    rows = Webhook.objects.select_for_update(of=("self",)).select_related("project")
    return _still_there(rows.filter(pk=webhook.pk).first())


def _still_there(row: Row | None) -> Row:
    if row is None:
        raise NotFound(_("This webhook has just been deleted."))
    return row


def _clean(*, url: str, events: Sequence[str], description: str) -> dict[str, Any]:
    errors: dict[str, list[str]] = {}
    url, description = url.strip(), description.strip()
    if len(url) > MAX_URL or not url.isprintable() or " " in url:
        errors["url"] = [_("Enter a URL of at most %d characters.") % MAX_URL]
    else:
        try:
            url = egress.check_url(url, field="url", query=True)
        except Invalid as refusal:
            errors.update(refusal.errors)
    known = subscribable()
    chosen = [key for key in known if key in events]
    if not chosen or set(events) - set(known):
        errors["events"] = [_("Choose at least one of the events: %s.") % ", ".join(known)]
    if len(description) > MAX_DESCRIPTION or not all(one.isprintable() for one in description):
        errors["description"] = [_("At most %d characters, in one line.") % MAX_DESCRIPTION]
    if errors:
        raise Invalid(_("The webhook was not saved: please correct what is marked."), errors=errors)
    return {"url": url, "events": chosen, "description": description}


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _record(actor: Actor, action: str, webhook: Webhook, **detail: Any) -> None:
    audit.record(
        actor,
        action,
        project_id=webhook.project_id,
        target_kind="webhook",
        target_id=webhook.pk,
        detail=detail,
    )
