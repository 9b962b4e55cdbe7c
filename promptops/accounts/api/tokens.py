"""REST: the calling token, and all of them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Status

from promptops.accounts import schemas
from promptops.accounts.bearer import ApiRequest, TokenBearer
from promptops.accounts.models import ApiToken
from promptops.accounts.policies import Permission
from promptops.accounts.querysets import tokens_of
from promptops.accounts.tokens import create_token, revoke_token
from promptops.core.errors import NotFound
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, Paging, answers, listing

router = Router(tags=["Access"])
ADMINS = TokenBearer(reads=Permission.ADMIN)


@router.get("/me", response=answers(ok=schemas.Me), auth=TokenBearer(reads=None), summary="Who am I?")
def me(request: ApiRequest) -> dict[str, Any]:
    """The project, role and scopes of the calling token: a good first call."""
    return {
        "project": {"slug": request.project.slug, "name": request.project.name},
        "token": token_json(request.auth),
        "role": request.actor.role_in(request.project),
        "scopes": request.auth.scopes,
    }


@router.get("/tokens", response=answers(ok=Listing[schemas.Token]), auth=ADMINS, summary="List tokens")
def list_tokens(request: ApiRequest, paging: Query[Paging]) -> dict[str, Any]:
    """Every token of the project, also the revoked ones, newest first. Secrets are not stored."""
    page = page_of(tokens_of(request.project), order=("-id",), cursor=paging.cursor, limit=paging.limit)
    return listing(page, token_json)


@router.post("/tokens", response=answers(created=schemas.NewToken), summary="Make a token")
def new_token(request: ApiRequest, given: schemas.TokenGiven, response: HttpResponse) -> Status[Any]:
    """The answer has the secret, once. A token counts as the person who made it and can do no more than that person."""
    token, secret = create_token(
        request.actor,
        request.project,
        name=given.name,
        role=given.role,
        scopes=given.scopes,
        expires_at=_aware(given.expires_at),
    )
    request.secret_fields = ("secret",)
    response["Cache-Control"] = "no-store"
    response["Location"] = f"/api/v1/tokens/{token.pk}"
    return Status(201, {**token_json(token), "secret": secret})


@router.get("/tokens/{token_id}", response=answers(404, ok=schemas.Token), auth=ADMINS, summary="Read a token")
def read_token(request: ApiRequest, token_id: Path[int]) -> dict[str, Any]:
    return token_json(_token(request, token_id))


@router.delete("/tokens/{token_id}", response=answers(404, empty=None), summary="Revoke a token")
def delete_token(request: ApiRequest, token_id: Path[int]) -> Status[None]:
    """Every process refuses the token within a second. Doing it twice is no error; the row stays for the audit."""
    revoke_token(request.actor, _token(request, token_id))
    return Status(204, None)


def token_json(token: ApiToken) -> dict[str, Any]:
    """Return a token as JSON, without anything by which one could act as it."""
    return {
        "id": token.pk,
        "name": token.name,
        "prefix": token.prefix,
        "role": token.role,
        "scopes": token.scopes,
        "created_by": token.created_by.name if token.created_by else None,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    }


def _token(request: ApiRequest, token_id: int) -> ApiToken:
    token = tokens_of(request.project).filter(pk=token_id).first() if 0 < token_id < 2**63 else None
    if token is None:
        raise NotFound(_("This project has no token %s.") % token_id)
    return token


def _aware(moment: dt.datetime | None) -> dt.datetime | None:
    """A time without a zone is taken as UTC, as everywhere in this API."""
    if moment is not None and timezone.is_naive(moment):
        return timezone.make_aware(moment, dt.UTC)
    return moment
