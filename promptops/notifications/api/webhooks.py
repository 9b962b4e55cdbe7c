"""REST: webhooks. Admins only, reading too: where a project's events go is nobody else's business."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest, TokenBearer
from promptops.accounts.policies import Permission, require
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, Paging, answers, listing
from promptops.notifications import schemas, services
from promptops.notifications.models import Delivery, Webhook
from promptops.notifications.querysets import deliveries_of, webhooks_of
from promptops.notifications.selectors import get_delivery, get_webhook

router = Router(tags=["Webhooks"])
ADMINS = TokenBearer(reads=Permission.ADMIN)


@router.get("/webhooks", response=answers(ok=Listing[schemas.Webhook]), auth=ADMINS, summary="List webhooks")
def list_webhooks(request: ApiRequest, paging: Query[Paging]) -> dict[str, Any]:
    """Every webhook of the project, newest first."""
    rows = webhooks_of(request.project)
    return listing(page_of(rows, order=("-id",), cursor=paging.cursor, limit=paging.limit), as_json)


@router.post("/webhooks", response=answers(409, created=schemas.NewWebhook), summary="Make a webhook")
def create_webhook(request: ApiRequest, given: schemas.WebhookGiven, response: HttpResponse) -> Status[Any]:
    """The answer has the signing secret, once. The address is checked again at every call; redirects are not
    followed."""
    webhook, secret = services.create_webhook(
        request.actor, request.project, url=given.url, events=given.events, description=given.description
    )
    response["Location"] = f"/api/v1/webhooks/{webhook.pk}"
    return Status(201, _with_secret(request, response, webhook, secret))


@router.get("/webhooks/{webhook_id}", response=answers(404, ok=schemas.Webhook), auth=ADMINS, summary="Read a webhook")
def read_webhook(request: ApiRequest, webhook_id: Path[int]) -> dict[str, Any]:
    return as_json(get_webhook(request.project, webhook_id))


@router.patch("/webhooks/{webhook_id}", response=answers(404, ok=schemas.Webhook), summary="Change a webhook")
def change_webhook(request: ApiRequest, webhook_id: Path[int], given: schemas.WebhookChange) -> dict[str, Any]:
    """Changes what is given. Switching it on again forgets that it failed."""
    webhook = _for_admins(request, webhook_id)
    webhook = services.update_webhook(
        request.actor,
        webhook,
        url=given.url,
        events=given.events,
        description=given.description,
        is_active=given.is_active,
    )
    return as_json(webhook)


@router.delete("/webhooks/{webhook_id}", response=answers(404, empty=None), summary="Delete a webhook")
def delete_webhook(request: ApiRequest, webhook_id: Path[int]) -> Status[None]:
    """Its log and its secrets go with it."""
    services.delete_webhook(request.actor, _for_admins(request, webhook_id))
    return Status(204, None)


@router.post("/webhooks/{webhook_id}/rotate", response=answers(404, ok=schemas.NewWebhook), summary="Rotate the secret")
def rotate_webhook(request: ApiRequest, webhook_id: Path[int], response: HttpResponse) -> dict[str, Any]:
    """Makes a new secret and shows it, once. For 24 hours calls are signed with the old one too."""
    webhook, secret = services.rotate_secret(request.actor, _for_admins(request, webhook_id))
    return _with_secret(request, response, webhook, secret)


@router.post("/webhooks/{webhook_id}/test", response=answers(404, ok=schemas.WholeDelivery), summary="Test a webhook")
def test_webhook(request: ApiRequest, webhook_id: Path[int]) -> dict[str, Any]:
    """Sends a `ping` once, also where the webhook is off, and answers what came of it, within 10 seconds."""
    return whole_json(services.ping_webhook(request.actor, _for_admins(request, webhook_id)))


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    response=answers(404, ok=Listing[schemas.Delivery]),
    auth=ADMINS,
    summary="List deliveries",
)
def list_deliveries(
    request: ApiRequest, webhook_id: Path[int], filters: Query[schemas.DeliveryFilters]
) -> dict[str, Any]:
    """What was sent to a webhook in the last 30 days, newest first."""
    rows = deliveries_of(get_webhook(request.project, webhook_id))
    if filters.status is not None:
        rows = rows.filter(status=filters.status)
    return listing(page_of(rows, order=("-id",), cursor=filters.cursor, limit=filters.limit), delivery_json)


@router.get(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}",
    response=answers(404, ok=schemas.WholeDelivery),
    auth=ADMINS,
    summary="Read a delivery",
)
def read_delivery(request: ApiRequest, webhook_id: Path[int], delivery_id: Path[uuid.UUID]) -> dict[str, Any]:
    """One delivery with what is sent and every attempt."""
    return whole_json(get_delivery(get_webhook(request.project, webhook_id), delivery_id))


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
    response=answers(404, 409, ok=schemas.WholeDelivery),
    summary="Deliver again",
)
def redeliver(request: ApiRequest, webhook_id: Path[int], delivery_id: Path[uuid.UUID]) -> dict[str, Any]:
    """Sends it again now, under the same ids; where that fails, the attempts of a day begin anew."""
    delivery = get_delivery(_for_admins(request, webhook_id), delivery_id)
    return whole_json(services.redeliver(request.actor, delivery))


def as_json(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook as JSON, without its secrets."""
    return {
        "id": webhook.pk,
        "url": webhook.url,
        "description": webhook.description,
        "events": webhook.events,
        "is_active": webhook.is_active,
        "last_four": webhook.last_four,
        "previous_until": webhook.previous_until,
        "failing_since": webhook.failing_since,
        "disabled_at": webhook.disabled_at,
        "created_by": webhook.created_by.name if webhook.created_by else None,
        "created_at": webhook.created_at,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as JSON."""
    return {
        "id": delivery.pk,
        "event_id": delivery.event_id,
        "event": delivery.event.type,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "response_status": delivery.response_status,
        "duration_ms": delivery.duration_ms,
        "error": delivery.error or None,
        "next_attempt_at": delivery.due_at if delivery.status == Delivery.Status.PENDING else None,
        "created_at": delivery.created_at,
        "ended_at": delivery.ended_at,
    }


def whole_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with what is sent and its attempts."""
    log = [
        {
            "number": one.number,
            "at": one.at,
            "duration_ms": one.duration_ms,
            "response_status": one.response_status,
            "response_excerpt": one.response_excerpt,
            "error": one.error or None,
        }
        for one in delivery.log.order_by("-number")
    ]
    return {**delivery_json(delivery), "body": json.loads(delivery.event.body), "log": log}


def _with_secret(request: ApiRequest, response: HttpResponse, webhook: Webhook, secret: str) -> dict[str, Any]:
    request.secret_fields = ("secret",)
    response["Cache-Control"] = "no-store"
    return {**as_json(webhook), "secret": secret}


def _for_admins(request: ApiRequest, webhook_id: int) -> Webhook:
    """Asked before looking, so that a smaller role cannot find out which webhooks there are."""
    require(request.actor, request.project, Permission.ADMIN)
    return get_webhook(request.project, webhook_id)
