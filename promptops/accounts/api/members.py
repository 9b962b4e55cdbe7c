"""REST: members and invitations."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from promptops.accounts import schemas, services
from promptops.accounts.bearer import ApiRequest, TokenBearer
from promptops.accounts.models import Invitation, Membership
from promptops.accounts.policies import Permission, require
from promptops.accounts.querysets import members_of, open_invitations_of
from promptops.core.errors import NotFound
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, Paging, answers, listing

router = Router(tags=["Access"])
ADMINS = TokenBearer(reads=Permission.ADMIN)


@router.get("/members", response=answers(ok=Listing[schemas.Member]), summary="List members")
def list_members(request: ApiRequest, paging: Query[Paging]) -> dict[str, Any]:
    """The people of the project with their roles."""
    page = page_of(members_of(request.project), order=("id",), cursor=paging.cursor, limit=paging.limit)
    return listing(page, member_json)


@router.patch("/members/{member_id}", response=answers(404, ok=schemas.Member), summary="Change a role")
def change_role(request: ApiRequest, member_id: Path[int], given: schemas.RoleGiven) -> dict[str, Any]:
    """The owner's role stays, and nobody changes their own."""
    return member_json(services.change_role(request.actor, _member(request, member_id), role=given.role))


@router.delete("/members/{member_id}", response=answers(404, empty=None), summary="Remove a member")
def remove_member(request: ApiRequest, member_id: Path[int]) -> Status[None]:
    """The person's tokens in the project stop working with the membership."""
    services.remove_member(request.actor, _member(request, member_id))
    return Status(204, None)


@router.get("/invitations", response=answers(ok=Listing[schemas.Invitation]), auth=ADMINS, summary="List invitations")
def list_invitations(request: ApiRequest, paging: Query[Paging]) -> dict[str, Any]:
    """Those that can still be accepted, newest first."""
    page = page_of(open_invitations_of(request.project), order=("-id",), cursor=paging.cursor, limit=paging.limit)
    return listing(page, invitation_json)


@router.post("/invitations", response=answers(created=schemas.NewInvitation), summary="Invite somebody")
def create_invitation(request: ApiRequest, given: schemas.InvitationGiven) -> Status[Any]:
    """The answer has a link, once, that makes whoever opens it a member. It works once, for seven days."""
    invitation, secret = services.create_invitation(request.actor, request.project, role=given.role, note=given.note)
    request.secret_fields = ("url",)
    return Status(201, {**invitation_json(invitation), "url": f"{settings.PUBLIC_URL}/invitations/{secret}/"})


@router.delete("/invitations/{invitation_id}", response=answers(404, empty=None), summary="Revoke an invitation")
def revoke_invitation(request: ApiRequest, invitation_id: Path[int]) -> Status[None]:
    require(request.actor, request.project, Permission.ADMIN)
    found = open_invitations_of(request.project).filter(pk=invitation_id).first() if _is_id(invitation_id) else None
    if found is None:
        raise NotFound(_("This project has no open invitation %s.") % invitation_id)
    services.revoke_invitation(request.actor, found)
    return Status(204, None)


def member_json(membership: Membership) -> dict[str, Any]:
    return {
        "id": membership.pk,
        "user_id": membership.user_id,
        "name": membership.user.name,
        "email": membership.user.email,
        "role": membership.role,
        "since": membership.created_at,
    }


def invitation_json(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.pk,
        "role": invitation.role,
        "note": invitation.note,
        "created_by": invitation.created_by.name if invitation.created_by else None,
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
    }


def _member(request: ApiRequest, member_id: int) -> Membership:
    membership = members_of(request.project).filter(pk=member_id).first() if _is_id(member_id) else None
    if membership is None:
        raise NotFound(_("This project has no member %s.") % member_id)
    return membership


def _is_id(number: int) -> bool:
    return 0 < number < 2**63
