"""REST: model endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from ninja import Path, Query, Router, Status

from promptops.accounts.bearer import ApiRequest
from promptops.accounts.policies import Permission, require
from promptops.catalog import prices, schemas, selectors, services
from promptops.catalog.models import Credential, Endpoint
from promptops.catalog.querysets import endpoints_of
from promptops.core.errors import Invalid, NotFound
from promptops.core.pagination import page_of
from promptops.core.rest import Listing, answers, listing

router = Router(tags=["Models"])
ORDER = ("-is_default", "name", "id")


@router.get("/endpoints", response=answers(ok=Listing[schemas.Endpoint]), summary="List model endpoints")
def list_endpoints(request: ApiRequest, filters: Query[schemas.ArchivedFilter]) -> dict[str, Any]:
    """The models that the project can run prompts on, the default first, then by name."""
    endpoints = endpoints_of(request.project, archived=filters.archived)
    return listing(page_of(endpoints, order=ORDER, cursor=filters.cursor, limit=filters.limit), endpoint_json)


@router.post("/endpoints", response=answers(409, created=schemas.Endpoint), summary="Create a model endpoint")
def create_endpoint(request: ApiRequest, given: schemas.EndpointGiven, response: HttpResponse) -> Status[Any]:
    """Adds a model. Its price comes from the installed price list, where you give none and the list knows it."""
    require(request.actor, request.project, Permission.ADMIN)
    with _price_paths():
        endpoint = services.create_endpoint(
            request.actor,
            request.project,
            slug=given.slug,
            name=given.name,
            provider=given.provider,
            credential=_credential(request, given.credential),
            model_name=given.model_name,
            description=given.description,
            context_window=given.context_window,
            price=None if given.price is None else given.price.dict(exclude_unset=True),
            parameters=given.parameters,
            is_default=given.default,
        )
    response["Location"] = f"/api/v1/endpoints/{endpoint.slug}"
    return Status(201, endpoint_json(endpoint))


@router.get("/endpoints/{slug}", response=answers(404, ok=schemas.Endpoint), summary="Read a model endpoint")
def read_endpoint(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    return endpoint_json(selectors.get_endpoint(request.project, slug))


@router.patch("/endpoints/{slug}", response=answers(404, ok=schemas.Endpoint), summary="Change a model endpoint")
def change_endpoint(request: ApiRequest, slug: Path[str], given: schemas.EndpointChange) -> dict[str, Any]:
    """Changes what you send. Runs that have begun keep the price that they were started with."""
    require(request.actor, request.project, Permission.ADMIN)
    endpoint = selectors.get_endpoint(request.project, slug)
    changes = given.dict(exclude_unset=True)
    if "credential" in changes:
        changes["credential"] = _credential(request, given.credential)
    with _price_paths():
        return endpoint_json(services.update_endpoint(request.actor, endpoint, **changes))


@router.post("/endpoints/{slug}/archive", response=answers(404, ok=schemas.Endpoint), summary="Archive an endpoint")
def archive_endpoint(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    """Takes it out of use. Runs that are queued on it still go; nothing is deleted."""
    return endpoint_json(services.archive_endpoint(request.actor, selectors.get_endpoint(request.project, slug)))


@router.post(
    "/endpoints/{slug}/restore", response=answers(404, 409, ok=schemas.Endpoint), summary="Restore an endpoint"
)
def restore_endpoint(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    """Undoes archiving. It is not the default afterwards, also when it was."""
    return endpoint_json(services.restore_endpoint(request.actor, selectors.get_endpoint(request.project, slug)))


@router.post(
    "/endpoints/{slug}/default", response=answers(404, 409, ok=schemas.Endpoint), summary="Make it the default"
)
def make_default(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    """Runs that name no endpoint go to this one from now on."""
    return endpoint_json(services.set_default(request.actor, selectors.get_endpoint(request.project, slug)))


@router.post(
    "/endpoints/{slug}/refresh-price", response=answers(404, 409, ok=schemas.Endpoint), summary="Look the price up"
)
def refresh_price(request: ApiRequest, slug: Path[str]) -> dict[str, Any]:
    """Takes the price that the installed list has now. Where it knows none, 409, and the endpoint keeps its price."""
    return endpoint_json(services.refresh_price(request.actor, selectors.get_endpoint(request.project, slug)))


def endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint as JSON."""
    credential = endpoint.credential
    return {
        "slug": endpoint.slug,
        "name": endpoint.name,
        "provider": endpoint.provider,
        "credential": {"id": credential.pk, "name": credential.name} if credential else None,
        "model_name": endpoint.model_name,
        "description": endpoint.description,
        "context_window": endpoint.context_window,
        "price": {
            **{name: _number(getattr(endpoint, name)) for name in prices.FIELDS},
            "limit": endpoint.price_limit,
            "source": endpoint.price_source,
            "noted_at": endpoint.priced_at,
        },
        "parameters": endpoint.parameters,
        "default": endpoint.is_default,
        "created_at": endpoint.created_at,
        "archived_at": endpoint.archived_at,
    }


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _credential(request: ApiRequest, choice: int | str | None) -> Credential | None:
    """The credential that a body names. Raises Invalid, as for every other wrong field."""
    if choice is None:
        return None
    try:
        if isinstance(choice, int):
            return selectors.get_credential(request.project, choice)
        return selectors.get_credential_named(request.project, choice)
    except NotFound as error:
        raise Invalid(error.detail, errors={"credential": [error.detail]}) from None


@contextmanager
def _price_paths() -> Iterator[None]:
    """A service names ``input_price``; in a body that stands at ``price.input_price``."""
    try:
        yield
    except Invalid as error:
        errors = {f"price.{name}" if name in prices.FIELDS else name: texts for name, texts in error.errors.items()}
        raise Invalid(error.detail, errors=errors, code=error.code) from None
