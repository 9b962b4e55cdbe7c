"""REST: credentials. Admins only, reading too: an address inside the company's network is nobody else's business."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest, TokenBearer
from promptops.accounts.policies import Permission, require
from promptops.catalog import schemas, selectors, services
from promptops.catalog.models import Credential
from promptops.catalog.querysets import credentials_of
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, answers, listing

router = Router(tags=["Models"])
ADMINS = TokenBearer(reads=Permission.ADMIN)


@router.get("/credentials", response=answers(ok=Listing[schemas.Credential]), auth=ADMINS, summary="List credentials")
def list_credentials(request: ApiRequest, filters: Query[schemas.ArchivedFilter]) -> dict[str, Any]:
    """The keys of providers by name: of each, how it ends and what its last test met."""
    credentials = credentials_of(request.project, archived=filters.archived)
    return listing(page_of(credentials, order=("name", "id"), cursor=filters.cursor, limit=filters.limit), as_json)


@router.post("/credentials", response=answers(created=schemas.Credential), summary="Store a credential")
def create_credential(request: ApiRequest, given: schemas.CredentialGiven, response: HttpResponse) -> Status[Any]:
    """Stores a key, encrypted. It is shown nowhere again: people know it by its last four characters."""
    credential = services.create_credential(
        request.actor,
        request.project,
        name=given.name,
        provider=given.provider,
        api_key=given.api_key.get_secret_value(),
        base_url=given.base_url,
    )
    response["Location"] = f"/api/v1/credentials/{credential.pk}"
    return Status(201, as_json(credential))


@router.get(
    "/credentials/{credential_id}",
    response=answers(404, ok=schemas.Credential),
    auth=ADMINS,
    summary="Read a credential",
)
def read_credential(request: ApiRequest, credential_id: Path[int]) -> dict[str, Any]:
    return as_json(selectors.get_credential(request.project, credential_id))


@router.patch(
    "/credentials/{credential_id}", response=answers(404, 409, ok=schemas.Credential), summary="Change a credential"
)
def change_credential(request: ApiRequest, credential_id: Path[int], given: schemas.CredentialChange) -> dict[str, Any]:
    """Renames it, replaces its key, or sends it elsewhere; a new address needs the key again."""
    credential = _for_admins(request, credential_id)
    credential = services.update_credential(
        request.actor,
        credential,
        name=given.name,
        base_url=given.base_url,
        api_key=None if given.api_key is None else given.api_key.get_secret_value(),
    )
    return as_json(credential)


@router.post(
    "/credentials/{credential_id}/archive",
    response=answers(404, 409, ok=schemas.Credential),
    summary="Archive a credential",
)
def archive_credential(request: ApiRequest, credential_id: Path[int]) -> dict[str, Any]:
    """Destroys the key: this cannot be undone. While living endpoints use it, 409 with their slugs."""
    return as_json(services.archive_credential(request.actor, _for_admins(request, credential_id)))


@router.post(
    "/credentials/{credential_id}/test",
    response=answers(404, 409, ok=schemas.CredentialTest),
    summary="Test a credential",
)
def test_credential(request: ApiRequest, credential_id: Path[int]) -> dict[str, Any]:
    """Asks the provider which models the key may use, which costs nothing. Answers within 15 seconds."""
    found = services.test_credential(request.actor, _for_admins(request, credential_id))
    return {"works": found.works, "detail": found.detail, "kind": found.kind, "models": found.models}


def as_json(credential: Credential) -> dict[str, Any]:
    """Return a credential as JSON, without anything by which one could act as it."""
    return {
        "id": credential.pk,
        "name": credential.name,
        "provider": credential.provider,
        "base_url": credential.base_url,
        "last_four": credential.last_four,
        "endpoints": [endpoint.slug for endpoint in credential.endpoints.all() if endpoint.archived_at is None],
        "created_by": credential.created_by.name if credential.created_by else None,
        "created_at": credential.created_at,
        "tested_at": credential.tested_at,
        "test_error": credential.test_error or None,
        "archived_at": credential.archived_at,
    }


def _for_admins(request: ApiRequest, credential_id: int) -> Credential:
    """Asked before looking, so that a smaller role cannot find out which credentials there are."""
    require(request.actor, request.project, Permission.ADMIN)
    return selectors.get_credential(request.project, credential_id)
