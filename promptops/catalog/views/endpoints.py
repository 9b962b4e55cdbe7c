"""Model endpoints: the list, one endpoint, and what an admin does with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import DecimalField, F, IntegerField, QuerySet, Value
from django.db.models.functions import Coalesce, Lower
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.actors import Actor
from promptops.accounts.policies import Permission, can
from promptops.accounts.views.tables import CSV_ROWS, PAGE_SIZE, order_of, sort_of, words_of
from promptops.catalog import selectors, services
from promptops.catalog.models import Endpoint
from promptops.catalog.presenters import Health, health_of, price_lines, price_text, short_provider, source_of
from promptops.catalog.querysets import endpoints_of
from promptops.catalog.snippets import endpoint_snippets
from promptops.core.csv_export import csv_response
from promptops.core.errors import Conflict
from promptops.core.htmx import redirect, render
from promptops.core.pagination import page_of

# Of rows without a value: below everything that has one, so that a cursor never meets a null.
NOTHING = -1
COLUMNS = {
    "name": "name_key",
    "provider": "provider",
    "model": "model_name",
    "input": "input_key",
    "output": "output_key",
    "context": "context_key",
}
BY_USE = "default"  # the default first, then by name: the order in which people choose


@dataclass(frozen=True)
class Row:
    endpoint: Endpoint
    provider: str
    health: Health
    input_price: str
    output_price: str
    price_source: str


def row_of(endpoint: Endpoint) -> Row:
    return Row(
        endpoint,
        short_provider(endpoint),
        health_of(endpoint),
        price_text(endpoint.input_price),
        price_text(endpoint.output_price),
        source_of(endpoint),
    )


@require_safe
@project_view(Permission.READ)
def endpoint_list(request: ProjectRequest) -> HttpResponse:
    """The models that the project can run prompts on, or the archived ones; for htmx, the table."""
    archived = _wants_archived(request)
    sort = sort_of(request, COLUMNS, BY_USE)
    found = _found(request, archived=archived)
    page = page_of(found, order=_order(sort), cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    context = {
        "rows": [row_of(one) for one in page.items],
        "next_cursor": page.next,
        "sort": sort,
        "table_target": "#models",
        "q": words_of(request),
        "archived": archived,
        "may_administer": can(request.actor, request.project, Permission.ADMIN),
        "csv_url": f"{reverse('catalog:endpoint-list-csv', args=[request.project.slug])}?{request.GET.urlencode()}",
    }
    return render(request, "catalog/endpoint_list.html#models", context)


@require_safe
@project_view(Permission.READ)
def endpoint_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """The list with the same search and order, as CSV. Prices are USD a million tokens."""
    found = _found(request, archived=_wants_archived(request)).order_by(*_order(sort_of(request, COLUMNS, BY_USE)))
    header = [
        "slug",
        "name",
        "provider",
        "model_name",
        "credential",
        "default",
        "context_window_tokens",
        "input_usd_per_million_tokens",
        "output_usd_per_million_tokens",
        "price_source",
        "priced_at",
        "health",
        "tested_at",
        "created_at",
        "archived_at",
    ]
    return csv_response(f"models-{request.project.slug}", header, _csv_rows(found))


@require_safe
@project_view(Permission.READ)
def endpoint_detail(request: ProjectRequest, slug: str) -> HttpResponse:
    """One endpoint: its card, price, limits and parameters, whether it works, and how to use it in code."""
    endpoint = selectors.get_endpoint(request.project, slug)
    may_administer = can(request.actor, request.project, Permission.ADMIN)
    context: dict[str, Any] = {
        "endpoint": endpoint,
        "health": health_of(endpoint),
        "prices": price_lines(endpoint),
        "price_source": source_of(endpoint),
        "parameters": sorted(endpoint.parameters.items()),
        "snippets": endpoint_snippets(request.build_absolute_uri("/"), endpoint),
        "may_administer": may_administer,
        "may_run": can(request.actor, request.project, Permission.RUN),
    }
    return render(request, "catalog/endpoint_detail.html", context)


@require_POST
@project_view(Permission.ADMIN)
def endpoint_archive(request: ProjectRequest, slug: str) -> HttpResponse:
    """Take it out of use; its page offers to undo that."""
    return _act(request, slug, services.archive_endpoint, _("“%s” is archived. Nobody can start runs on it."))


@require_POST
@project_view(Permission.ADMIN)
def endpoint_restore(request: ProjectRequest, slug: str) -> HttpResponse:
    """Undo archiving."""
    return _act(request, slug, services.restore_endpoint, _("“%s” is in use again."))


@require_POST
@project_view(Permission.ADMIN)
def endpoint_default(request: ProjectRequest, slug: str) -> HttpResponse:
    """Use it where nobody names an endpoint."""
    return _act(request, slug, services.set_default, _("Runs that name no model go to “%s” now."))


@require_POST
@project_view(Permission.ADMIN)
def endpoint_refresh_price(request: ProjectRequest, slug: str) -> HttpResponse:
    """Take the price that the installed list has now."""
    return _act(request, slug, services.refresh_price, _("The price of “%s” is the one of the price list now."))


def _act(request: ProjectRequest, slug: str, service: Callable[[Actor, Endpoint], Endpoint], done: str) -> HttpResponse:
    endpoint = selectors.get_endpoint(request.project, slug)
    try:
        endpoint = service(request.actor, endpoint)
    except Conflict as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, done % endpoint.name)
    return redirect(request, "catalog:endpoint-detail", request.project.slug, endpoint.slug)


def _wants_archived(request: ProjectRequest) -> bool:
    return request.GET.get("archived") == "1"


def _found(request: ProjectRequest, *, archived: bool) -> QuerySet[Endpoint]:
    """The endpoints that the search finds, with the columns by which they sort."""
    amount: DecimalField[Any, Any] = DecimalField(max_digits=20, decimal_places=10)
    endpoints = endpoints_of(request.project, archived=archived).annotate(
        name_key=Lower("name"),
        input_key=Coalesce(F("input_price"), Value(NOTHING), output_field=amount),
        output_key=Coalesce(F("output_price"), Value(NOTHING), output_field=amount),
        context_key=Coalesce(F("context_window"), Value(NOTHING), output_field=IntegerField()),
    )
    return selectors.matching(endpoints, words_of(request))


def _order(sort: str) -> list[str]:
    return ["-is_default", "name_key", "id"] if sort == BY_USE else order_of(sort, COLUMNS)


def _csv_rows(endpoints: QuerySet[Endpoint]) -> Iterator[list[Any]]:
    for one in endpoints[:CSV_ROWS]:
        health = health_of(one)
        yield [
            one.slug,
            one.name,
            one.provider,
            one.model_name,
            one.credential.name if one.credential else None,
            one.is_default,
            one.context_window,
            one.input_price,
            one.output_price,
            one.price_source,
            one.priced_at,
            health.label,
            health.at,
            one.created_at,
            one.archived_at,
        ]
