"""The JSON shapes of notifications and webhooks."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Literal

from ninja import Field, Schema

from promptops.core.rest import Given, JsonObject, Paging

DeliveryStatus = Literal["pending", "delivered", "failed"]


class Notification(Schema):
    id: int
    kind: str = Field(examples=["label.moved"])
    text: str = Field(description="The sentence, in English.")
    params: JsonObject = Field(description="The ids and short names that it is made of.")
    url: str = Field(description="The page that it is about.")
    times: int = Field(description="How often it happened while it was unread.")
    at: dt.datetime = Field(description="When, the last time.")
    read_at: dt.datetime | None


class NotificationFilters(Paging):
    unread: bool = Field(False, description="Only what is not read yet.")


class Webhook(Schema):
    id: int
    url: str = Field(examples=["https://hooks.example.com/promptops"])
    description: str
    events: list[str] = Field(examples=[["label.moved", "version.created"]])
    is_active: bool
    last_four: str = Field(description="How its secret ends.")
    previous_until: dt.datetime | None = Field(description="Until then the secret before it signs too.")
    failing_since: dt.datetime | None = Field(description="No call was taken since; null while it works.")
    disabled_at: dt.datetime | None = Field(description="When it was switched off because it kept failing.")
    created_by: str | None
    created_at: dt.datetime


class NewWebhook(Webhook):
    secret: str | None = Field(
        description="The signing secret, shown once: a repeat under the same Idempotency-Key answers null here.",
        examples=["whsec_Zx81kQw3…"],
    )


class WebhookGiven(Given):
    url: str = Field(examples=["https://hooks.example.com/promptops"])
    events: list[str] = Field(examples=[["label.moved", "version.created"]])
    description: str = ""


class WebhookChange(Given):
    """What is left out stays as it is."""

    url: str | None = None
    events: list[str] | None = None
    description: str | None = None
    is_active: bool | None = None


class Delivery(Schema):
    id: uuid.UUID
    event_id: uuid.UUID = Field(description="The same for every webhook and every repeat: the receiver's idempotency.")
    event: str = Field(examples=["label.moved"])
    status: DeliveryStatus
    attempts: int
    response_status: int | None = Field(description="Of the last attempt; null where nobody answered.")
    duration_ms: int | None = Field(description="Of the last attempt.")
    error: str | None = Field(description="Of the last attempt.")
    next_attempt_at: dt.datetime | None
    created_at: dt.datetime
    ended_at: dt.datetime | None


class DeliveryAttempt(Schema):
    number: int
    at: dt.datetime
    duration_ms: int
    response_status: int | None
    response_excerpt: str = Field(description="The beginning of the answer's body, at most 1000 characters.")
    error: str | None


class WholeDelivery(Delivery):
    body: JsonObject = Field(description="What is sent.")
    log: list[DeliveryAttempt] = Field(description="Every attempt, the last one first.")


class DeliveryFilters(Paging):
    status: DeliveryStatus | None = None
