"""REST: the audit log of the project."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from ninja import Query, Router

from promptops.accounts import schemas
from promptops.accounts.bearer import ApiRequest, TokenBearer
from promptops.accounts.policies import Permission
from promptops.audit.models import AuditEvent
from promptops.audit.querysets import events_of
from promptops.audit.services import verify
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, answers, listing

router = Router(tags=["Audit"])
ADMINS = TokenBearer(reads=Permission.ADMIN)


@router.get("/audit", response=answers(ok=Listing[schemas.AuditEvent]), auth=ADMINS, summary="Read the audit log")
def list_events(request: ApiRequest, filters: Query[schemas.AuditFilters]) -> dict[str, Any]:
    """Who did what in this project, newest first. Ids stand for people, so that the log outlives an erasure."""
    events = events_of(
        request.project.pk, action=filters.action, target_kind=filters.target_kind, target_id=filters.target_id
    )
    return listing(page_of(events, order=("-id",), cursor=filters.cursor, limit=filters.limit), event_json)


@router.get(
    "/audit/verify", response=answers(ok=schemas.AuditVerification), auth=ADMINS, summary="Verify the audit log"
)
def verify_chain(request: ApiRequest) -> dict[str, Any]:
    """Recomputes the hash chain of the whole project."""
    found = verify(request.project.pk)
    return {**dataclasses.asdict(found), "valid": found.valid}


def event_json(event: AuditEvent) -> dict[str, Any]:
    link = getattr(event, "link", None)
    return {
        "id": event.pk,
        "number": link.number if link else None,
        "at": event.at,
        "actor_kind": event.actor_kind,
        "actor_id": event.actor_id,
        "user_id": event.user_id,
        "action": event.action,
        "target_kind": event.target_kind,
        "target_id": event.target_id,
        "detail": json.loads(event.payload)["detail"],
        "hash": bytes(link.hash).hex() if link else None,
    }
