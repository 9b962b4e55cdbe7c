"""Writing the audit log, and verifying it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import rfc8785
from django.db import connection
from django.utils import timezone

from promptops.audit.models import INSTALLATION, AuditEvent

GENESIS = b"\0" * 32


class Acting(Protocol):
    """What the log needs to know of an actor (``accounts.actors.Actor``)."""

    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> int | None: ...
    @property
    def user_id(self) -> int | None: ...


def record(
    actor: Acting,
    action: str,
    *,
    project_id: int | None,
    target_kind: str,
    target_id: object,
    detail: Mapping[str, Any] | None = None,
) -> AuditEvent:
    """Add an event to the project's chain (or the installation's) in the transaction that is open.

    ``detail`` holds ids, numbers, names of labels and settings; never a person's name, e-mail or free text: those stay
    in rows that can be erased, and the chain has to stay valid when they are.

    Raises:
        RuntimeError: no transaction is open, so event and change could part.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("audit.record needs the transaction of the change that it tells of")
    at = timezone.now()
    chain = INSTALLATION if project_id is None else project_id
    fields: dict[str, Any] = {
        "chain": chain,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "user_id": actor.user_id,
        "action": action,
        "target_kind": target_kind,
        "target_id": str(target_id),
    }
    payload = rfc8785.dumps({**fields, "at": at.isoformat(), "detail": dict(detail or {})}).decode()
    return AuditEvent.objects.create(**fields, at=at, payload=payload)


@dataclass(frozen=True)
class Verification:
    """``broken_at`` is the number of the first link that does not hold, with the ``reason``; None when all do."""

    events: int
    head: str
    broken_at: int | None = None
    reason: str = ""

    @property
    def valid(self) -> bool:
        return self.broken_at is None


_LINKS = """
SELECT l.number, l.previous_hash, l.hash, e.payload,
       e.payload::jsonb @> jsonb_build_object('chain', e.chain, 'actor_kind', e.actor_kind, 'actor_id', e.actor_id,
           'user_id', e.user_id, 'action', e.action, 'target_kind', e.target_kind, 'target_id', e.target_id)
       AND (e.payload::jsonb ->> 'at')::timestamptz = e.at
FROM audit_auditlink l JOIN audit_auditevent e ON e.id = l.event_id
WHERE l.chain = %s ORDER BY l.number
"""


def verify(project_id: int | None) -> Verification:
    """Recompute a whole chain: every hash, every number, and that the columns say what the hashed payload says."""
    chain = INSTALLATION if project_id is None else project_id
    expected_number, previous = 1, GENESIS
    with connection.cursor() as cursor:
        cursor.execute(_LINKS, [chain])
        while rows := cursor.fetchmany(1000):
            for number, previous_hash, stored_hash, payload, columns_agree in rows:
                computed = hashlib.sha256(previous + payload.encode()).digest()
                if number != expected_number:
                    return Verification(expected_number - 1, previous.hex(), expected_number, "event missing")
                if bytes(previous_hash) != previous or bytes(stored_hash) != computed:
                    return Verification(expected_number - 1, previous.hex(), number, "hash does not match")
                if not columns_agree:
                    return Verification(expected_number - 1, previous.hex(), number, "columns differ from payload")
                expected_number, previous = number + 1, computed
        cursor.execute("SELECT number, hash FROM audit_chain WHERE chain = %s", [chain])
        head = cursor.fetchone()
    if (head is None and expected_number > 1) or (
        head and (head[0] != expected_number - 1 or bytes(head[1]) != previous)
    ):
        return Verification(expected_number - 1, previous.hex(), expected_number, "the end of the chain is missing")
    return Verification(expected_number - 1, previous.hex())
