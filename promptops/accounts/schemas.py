"""The JSON shapes of tokens, members, invitations and the audit log."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from ninja import Field, Schema

from promptops.core.rest import Given, JsonObject, Paging

GrantableRole = Literal["viewer", "editor", "reviewer", "admin"]
AnyRole = Literal["viewer", "editor", "reviewer", "admin", "owner"]
ScopeName = Literal["read", "run", "write", "admin"]


class ProjectRef(Schema):
    slug: str = Field(examples=["demo"])
    name: str


class Token(Schema):
    id: int
    name: str = Field(description="Which service uses it.", examples=["checkout service"])
    prefix: str = Field(description="How the secret begins.", examples=["po_Zx81kQw"])
    role: GrantableRole
    scopes: list[ScopeName]
    created_by: str | None = Field(description="The person it counts as; null where a command made it.")
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None = Field(description="To within some seconds.")
    revoked_at: dt.datetime | None


class NewToken(Token):
    secret: str | None = Field(
        description="Shown once, and stored nowhere: a repeat under the same Idempotency-Key answers null here.",
        examples=["po_Zx81kQw3…"],
    )


class TokenGiven(Given):
    name: str = Field(examples=["checkout service"])
    role: GrantableRole = "viewer"
    scopes: list[ScopeName] | None = Field(None, description="All that the role allows, where left out.")
    expires_at: dt.datetime | None = Field(None, description="With a time zone; never, where left out.")


class Me(Schema):
    """Whom the token stands for, and what it may do."""

    project: ProjectRef
    token: Token
    role: AnyRole = Field(description="What the token's role and its creator's come to, the smaller of both.")
    scopes: list[ScopeName]


class Member(Schema):
    id: int
    user_id: int
    name: str
    email: str
    role: AnyRole
    since: dt.datetime


class RoleGiven(Given):
    role: GrantableRole


class InvitationGiven(Given):
    role: GrantableRole = "viewer"
    note: str = Field("", max_length=120, description="For whom it is.")


class Invitation(Schema):
    id: int
    role: GrantableRole
    note: str
    created_by: str | None
    created_at: dt.datetime
    expires_at: dt.datetime


class NewInvitation(Invitation):
    url: str | None = Field(
        description="The link that makes whoever opens it a member. Shown once: a repeat under the same "
        "Idempotency-Key answers null here."
    )


class AuditFilters(Paging):
    action: str = Field("", max_length=60, description="Such as label.moved.")
    target_kind: str = Field("", max_length=40)
    target_id: str = Field("", max_length=80)


class AuditEvent(Schema):
    id: int
    number: int | None = Field(description="Its place in the project's hash chain.")
    at: dt.datetime
    actor_kind: str = Field(examples=["user"])
    actor_id: int | None
    user_id: int | None = Field(description="The person behind the actor.")
    action: str = Field(examples=["label.moved"])
    target_kind: str = Field(examples=["prompt"])
    target_id: str
    detail: JsonObject
    hash: str | None = Field(description="SHA-256 (hex) over the hash before it and this event.")


class AuditVerification(Schema):
    """What recomputing the whole chain found."""

    valid: bool
    events: int = Field(description="How many hold.")
    head: str = Field(description="The hash of the last one that holds; note it elsewhere, and nobody can cut the log.")
    broken_at: int | None
    reason: str
