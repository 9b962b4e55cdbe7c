"""Credentials, in the settings of a project: for admins only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.accounts.views.tables import CSV_ROWS, PAGE_SIZE, order_of, sort_of
from promptops.catalog import selectors, services
from promptops.catalog.forms import CredentialForm, NewCredentialForm
from promptops.catalog.models import Credential, Endpoint, Provider
from promptops.catalog.presenters import health_of_credential
from promptops.catalog.querysets import credentials_of
from promptops.core.csv_export import csv_response
from promptops.core.errors import AppError, Conflict
from promptops.core.forms import put_errors
from promptops.core.htmx import is_fragment, redirect, render
from promptops.core.pagination import page_of

COLUMNS = {"name": "name_key", "provider": "provider", "created": "created_at"}
LIST = "catalog/credential_list.html"
PAGE = "catalog/credential_edit.html"


@require_safe
@project_view(Permission.ADMIN)
def credential_list(request: ProjectRequest) -> HttpResponse:
    """The keys by name: how each ends, which models use it, and what its last test met."""
    archived = request.GET.get("archived") == "1"
    sort = sort_of(request, COLUMNS, "name")
    page = page_of(
        _found(request, archived=archived),
        order=order_of(sort, COLUMNS),
        cursor=request.GET.get("cursor"),
        limit=PAGE_SIZE,
    )
    context = {
        "rows": [(one, health_of_credential(one), living_endpoints(one)) for one in page.items],
        "next_cursor": page.next,
        "sort": sort,
        "table_target": "#credentials",
        "archived": archived,
        "csv_url": f"{reverse('catalog:credential-list-csv', args=[request.project.slug])}?{request.GET.urlencode()}",
    }
    return render(request, f"{LIST}#credentials", context)


@require_safe
@project_view(Permission.ADMIN)
def credential_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """The list as CSV, without keys."""
    found = _found(request, archived=request.GET.get("archived") == "1")
    header = ["id", "name", "provider", "base_url", "key_ends_in", "models", "tested_at", "test", "created_at", "by"]
    rows = found.order_by(*order_of(sort_of(request, COLUMNS, "name"), COLUMNS))
    return csv_response(f"credentials-{request.project.slug}", header, _csv_rows(rows))


@sensitive_post_parameters("api_key")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def credential_create(request: ProjectRequest) -> HttpResponse:
    """Store a key; then its page tests it at once."""
    given = request.POST if request.method == "POST" else request.GET
    provider = given.get("provider", "")
    provider = provider if provider in (Provider.OPENAI, Provider.ANTHROPIC) else Provider.OPENAI.value
    if request.method != "POST":
        form = NewCredentialForm(provider=provider, initial={**request.GET.dict(), "provider": provider})
        return render(request, "catalog/credential_create.html#form", {"form": form})
    form = NewCredentialForm(request.POST, provider=provider)
    if not form.is_valid():
        return render(request, "catalog/credential_create.html#form", {"form": form}, status=422)
    try:
        credential = services.create_credential(request.actor, request.project, **form.cleaned_data)
    except AppError as error:
        put_errors(form, error)
        return render(request, "catalog/credential_create.html#form", {"form": form}, status=error.http_status)
    page = reverse("catalog:credential-edit", args=[request.project.slug, credential.pk])
    return redirect(request, f"{page}?test=1")


@sensitive_post_parameters("api_key")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def credential_edit(request: ProjectRequest, pk: int) -> HttpResponse:
    """One credential: its test, the models that use it, and the form that renames it or replaces its key."""
    credential = selectors.get_credential(request.project, pk)
    if request.method != "POST":
        initial = {"name": credential.name, "base_url": credential.base_url}
        form = CredentialForm(credential=credential, initial=initial)
        return _page(request, credential, form)
    form = CredentialForm(request.POST, credential=credential)
    if not form.is_valid():
        return _page(request, credential, form, status=422)
    try:
        services.update_credential(request.actor, credential, **form.cleaned_data)
    except AppError as error:
        put_errors(form, error)
        return _page(request, credential, form, status=error.http_status)
    replaced = bool(form.cleaned_data["api_key"])
    messages.success(request, _("The key is replaced.") if replaced else _("The credential is saved."))
    page = reverse("catalog:credential-edit", args=[request.project.slug, credential.pk])
    return redirect(request, f"{page}?test=1" if replaced else page)


@require_POST
@project_view(Permission.ADMIN)
def credential_archive(request: ProjectRequest, pk: int) -> HttpResponse:
    """Destroy the key."""
    credential = selectors.get_credential(request.project, pk)
    try:
        services.archive_credential(request.actor, credential)
    except Conflict as error:
        messages.error(request, error.detail)
        return redirect(request, "catalog:credential-edit", request.project.slug, credential.pk)
    messages.success(request, _("The key of “%s” is destroyed.") % credential.name)
    return redirect(request, "catalog:credential-list", request.project.slug)


@require_POST
@project_view(Permission.ADMIN)
def credential_test(request: ProjectRequest, pk: int) -> HttpResponse:
    """Ask the provider, and show what it said: in the panel of its page, or in its row of the list."""
    credential = selectors.get_credential(request.project, pk)
    services.test_credential(request.actor, credential)
    if not is_fragment(request):
        return redirect(request, "catalog:credential-edit", request.project.slug, credential.pk)
    context: dict[str, Any] = {"credential": credential, "health": health_of_credential(credential)}
    if request.POST.get("place") == "row":
        return render(request, "catalog/credential_health.html", context)
    return render(request, f"{PAGE}#test", context)


def living_endpoints(credential: Credential) -> list[Endpoint]:
    """The endpoints in use that are called with this credential."""
    return [one for one in credential.endpoints.all() if one.archived_at is None]


def _found(request: ProjectRequest, *, archived: bool) -> QuerySet[Credential]:
    return credentials_of(request.project, archived=archived).annotate(name_key=Lower("name"))


def _page(request: ProjectRequest, credential: Credential, form: CredentialForm, *, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "credential": credential,
        "health": health_of_credential(credential),
        "endpoints": living_endpoints(credential),
        "test_now": request.method == "GET" and request.GET.get("test") == "1" and credential.is_live,
    }
    return render(request, f"{PAGE}#form", context, status=status)


def _csv_rows(credentials: QuerySet[Credential]) -> Iterator[list[Any]]:
    for one in credentials[:CSV_ROWS]:
        yield [
            one.pk,
            one.name,
            one.provider,
            one.base_url,
            one.last_four,
            " ".join(endpoint.slug for endpoint in living_endpoints(one)),
            one.tested_at,
            one.test_error or ("works" if one.tested_at else ""),
            one.created_at,
            one.created_by.name if one.created_by else "",
        ]
