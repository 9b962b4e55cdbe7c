"""Making and changing an endpoint. The form shows the listed price, and the models that the key may use."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission
from promptops.catalog import prices, selectors, services
from promptops.catalog.forms import EndpointForm, NewEndpointForm, initial_of
from promptops.catalog.local_models import local_model_names
from promptops.catalog.models import Credential, Endpoint, Provider
from promptops.catalog.parameters import known_parameters
from promptops.catalog.presenters import price_lines
from promptops.catalog.querysets import credentials_of
from promptops.core.errors import AppError, Invalid
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render

CREATE = "catalog/endpoint_create.html"
EDIT = "catalog/endpoint_edit.html"
OFFERED = (Provider.OPENAI, Provider.ANTHROPIC, Provider.LOCAL)


@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def endpoint_create(request: ProjectRequest) -> HttpResponse:
    """The form for one provider; what was typed goes along when another provider is chosen."""
    given = request.POST if request.method == "POST" else request.GET
    provider = given.get("provider", "")
    provider = provider if provider in OFFERED else Provider.OPENAI.value
    credentials = _credentials(request.project, provider)
    if request.method != "POST":
        initial = {"credential": credentials[0].pk if credentials else None, **request.GET.dict()}
        form = NewEndpointForm(provider=provider, credentials=credentials, initial=initial)
        return _create_page(request, form, provider, credentials)
    form = NewEndpointForm(request.POST, provider=provider, credentials=credentials)
    if not form.is_valid():
        return _create_page(request, form, provider, credentials, status=422)
    typed = form.price()
    try:
        endpoint = services.create_endpoint(
            request.actor,
            request.project,
            slug=form.cleaned_data["slug"],
            model_name=form.cleaned_data["model_name"],
            provider=provider,
            is_default=form.cleaned_data["is_default"],
            # Nothing typed: the price list decides.
            price=typed if typed and any(typed.values()) else None,
            **_common(form, credentials),
        )
    except AppError as error:
        put_errors(form, form.show(error) if isinstance(error, Invalid) else error)
        return _create_page(request, form, provider, credentials, status=error.http_status)
    messages.success(request, _("“%s” can be chosen for runs now.") % endpoint.name)
    return redirect(request, "catalog:endpoint-detail", request.project.slug, endpoint.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def endpoint_edit(request: ProjectRequest, slug: str) -> HttpResponse:
    """Change what can change."""
    endpoint = selectors.get_endpoint(request.project, slug)
    credentials = _credentials(request.project, endpoint.provider)
    if request.method != "POST":
        form = EndpointForm(provider=endpoint.provider, credentials=credentials, initial=initial_of(endpoint))
        return _edit_page(request, form, endpoint)
    form = EndpointForm(request.POST, provider=endpoint.provider, credentials=credentials)
    if not form.is_valid():
        return _edit_page(request, form, endpoint, status=422)
    try:
        services.update_endpoint(request.actor, endpoint, price=form.price(), **_common(form, credentials))
    except AppError as error:
        put_errors(form, form.show(error) if isinstance(error, Invalid) else error)
        return _edit_page(request, form, endpoint, status=error.http_status)
    messages.success(request, _("The model is saved."))
    return redirect(request, "catalog:endpoint-detail", request.project.slug, endpoint.slug)


def _common(form: EndpointForm, credentials: list[Credential]) -> dict[str, Any]:
    return {
        "name": form.cleaned_data["name"],
        "description": form.cleaned_data["description"],
        "credential": form.chosen_credential(credentials),
        "context_window": form.cleaned_data["context_window"],
        "parameters": form.parameters(),
    }


def _credentials(project: Project, provider: str) -> list[Credential]:
    return list(credentials_of(project).filter(provider=provider))


def _create_page(
    request: ProjectRequest,
    form: NewEndpointForm,
    provider: str,
    credentials: list[Credential],
    *,
    status: int = 200,
) -> HttpResponse:
    wanted = str(form["credential"].value()) if form.price_fields else ""
    chosen = next((one for one in credentials if str(one.pk) == wanted), None)
    model_name = str(form["model_name"].value() or "").strip()
    listed = prices.look_up(provider, model_name, chosen.base_url if chosen else "") if model_name else prices.UNKNOWN
    context = {
        "form": form,
        "provider": provider,
        "providers": [(one.value, one.label) for one in OFFERED],
        "needs_credential": form.price_fields,
        "credentials": credentials,
        "offered_models": _suggestions(provider, chosen),
        "chosen": chosen,
        "model_name": model_name,
        "listed": listed,
        "listed_prices": price_lines(listed),
        "known_parameters": known_parameters(provider),
    }
    return render(request, f"{CREATE}#form", context, status=status)


def _suggestions(provider: str, credential: Credential | None) -> list[str]:
    if provider == Provider.LOCAL:
        return local_model_names()
    return list(credential.offered_models) if credential else []


def _edit_page(request: ProjectRequest, form: EndpointForm, endpoint: Endpoint, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "endpoint": endpoint, "known_parameters": known_parameters(endpoint.provider)}
    return render(request, f"{EDIT}#form", context, status=status)
