"""Endpoints: the models that a project can run prompts on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import Project
from promptops.accounts.policies import Permission, require
from promptops.audit import services as audit
from promptops.catalog import prices
from promptops.catalog.models import Credential, Endpoint, Provider
from promptops.catalog.parameters import parameter_errors
from promptops.core.errors import Conflict, Invalid

SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9._-]{0,78}[a-z0-9])?$")
RESERVED_SLUGS = {"new"}
LOCAL_NAME = re.compile(r"^(?:[A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*$")
MAX_NAME = 120
MAX_MODEL_NAME = 200
MAX_DESCRIPTION = 10_000
MAX_CONTEXT = 100_000_000
PRICE_FIELDS = (*prices.FIELDS, "price_limit")
FREE_PROVIDERS = (Provider.LOCAL, Provider.SCRIPTED)


class Keep(Enum):
    """What a change leaves as it is, where None means something."""

    KEEP = "keep"


KEEP: Literal[Keep.KEEP] = Keep.KEEP


@transaction.atomic
def create_endpoint(
    actor: Actor,
    project: Project,
    *,
    slug: str,
    name: str,
    provider: str,
    model_name: str,
    credential: Credential | None = None,
    description: str = "",
    context_window: int | None = None,
    price: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    is_default: bool = False,
) -> Endpoint:
    """Create an endpoint.

    Args:
        credential: a living one of the same project and provider; none for a local model.
        context_window: tokens; from the price list when None.
        price: USD a million tokens by ``prices.FIELDS``; None takes what the price list says, and an empty mapping
            says that the price is unknown.
        parameters: defaults, under those of the prompt and of the run.
        is_default: used where nobody names an endpoint. A project's first one is, anyway.

    Raises:
        Invalid: a field is malformed, or the slug is taken (``errors`` by field).
    """
    require(actor, project, Permission.ADMIN)
    errors: dict[str, list[str]] = {}
    if not SLUG.match(slug) or slug in RESERVED_SLUGS:
        errors["slug"] = [_("Use lower-case letters, digits, dots, hyphens and underscores, such as “gpt-4o-mini”.")]
    elif Endpoint.objects.filter(project=project, slug=slug).exists():
        errors["slug"] = [_("Another endpoint of this project has, or had, this slug.")]
    _check_model(provider, model_name.strip(), errors)
    endpoint = Endpoint(
        project=project, slug=slug, provider=provider, model_name=model_name.strip(), created_by=actor.user
    )
    _check_credential(endpoint, credential, errors)
    _set_texts(endpoint, errors, name=name, description=description)
    _set_parameters(endpoint, parameters or {}, errors)
    listed = prices.UNKNOWN if errors else prices.look_up(provider, endpoint.model_name, _base_url(endpoint))
    _set_price(endpoint, price, listed, errors)
    _set_context(endpoint, listed.context_window if context_window is None else context_window, errors)
    if errors:
        raise Invalid(_("The endpoint was not saved: please correct what is marked."), errors=errors)
    first = not Endpoint.objects.filter(project=project, archived_at=None, is_default=True).exists()
    if is_default and not first:
        _clear_default(project)
    endpoint.is_default = is_default or first
    _insert(endpoint)
    _record(actor, "endpoint.created", endpoint, provider=provider, credential=endpoint.credential_id)
    return endpoint


@transaction.atomic
def update_endpoint(
    actor: Actor,
    endpoint: Endpoint,
    *,
    name: str | None = None,
    description: str | None = None,
    credential: Credential | None = None,
    context_window: int | Literal[Keep.KEEP] | None = KEEP,
    price: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Endpoint:
    """Change an endpoint. Provider and model name stay: another model is another endpoint.

    None leaves a field as it is; a ``context_window`` of None says that it is unknown, and ``KEEP`` leaves it.

    Raises:
        Invalid: a field is malformed (``errors`` by field).
    """
    require(actor, endpoint.project, Permission.ADMIN)
    endpoint = _locked(endpoint)
    errors: dict[str, list[str]] = {}
    if credential is not None:
        _check_credential(endpoint, credential, errors)
    _set_texts(endpoint, errors, name=name, description=description)
    if parameters is not None:
        _set_parameters(endpoint, parameters, errors)
    if price is not None and not _same_price(endpoint, price):
        _set_price(endpoint, price, prices.UNKNOWN, errors)
    if context_window is not KEEP:
        _set_context(endpoint, context_window, errors)
    if errors:
        raise Invalid(_("The endpoint was not saved: please correct what is marked."), errors=errors)
    endpoint.save()
    _record(actor, "endpoint.updated", endpoint, credential=endpoint.credential_id, price_source=endpoint.price_source)
    return endpoint


@transaction.atomic
def refresh_price(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """Copy the price that the installed list has now onto the endpoint.

    Raises:
        Conflict: the list does not know the model (code ``price_unknown``); the endpoint keeps its price.
    """
    require(actor, endpoint.project, Permission.ADMIN)
    endpoint = _locked(endpoint)
    listed = prices.look_up(endpoint.provider, endpoint.model_name, _base_url(endpoint))
    if listed.input_price is None:
        raise Conflict(
            _("The price list of this installation does not know “%s”. Enter the price by hand.") % endpoint.model_name,
            code="price_unknown",
        )
    _apply(endpoint, listed)
    endpoint.save()
    _record(actor, "endpoint.price_refreshed", endpoint, price_source=endpoint.price_source)
    return endpoint


@transaction.atomic
def set_default(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """Make it the endpoint that is used where nobody names one. Raises Conflict for an archived one."""
    require(actor, endpoint.project, Permission.ADMIN)
    endpoint = _locked(endpoint)
    if endpoint.archived_at is not None:
        raise Conflict(_("This endpoint is archived. Restore it first."), code="archived")
    if not endpoint.is_default:
        _clear_default(endpoint.project)
        endpoint.is_default = True
        endpoint.save(update_fields=["is_default"])
        _record(actor, "endpoint.made_default", endpoint)
    return endpoint


@transaction.atomic
def archive_endpoint(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """Take an endpoint out of use; runs that are queued on it still go. ``restore_endpoint`` undoes it."""
    require(actor, endpoint.project, Permission.ADMIN)
    endpoint = _locked(endpoint)
    if endpoint.archived_at is None:
        endpoint.archived_at, endpoint.is_default = timezone.now(), False
        endpoint.save(update_fields=["archived_at", "is_default"])
        _record(actor, "endpoint.archived", endpoint)
    return endpoint


@transaction.atomic
def restore_endpoint(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """Undo ``archive_endpoint``.

    Raises:
        Conflict: its credential was archived meanwhile (code ``credential_archived``).
    """
    require(actor, endpoint.project, Permission.ADMIN)
    endpoint = _locked(endpoint)
    if endpoint.archived_at is not None:
        if endpoint.credential is not None and not endpoint.credential.is_live:
            raise Conflict(
                _("Its credential is archived. Make a new endpoint with another one."), code="credential_archived"
            )
        endpoint.archived_at = None
        endpoint.save(update_fields=["archived_at"])
        _record(actor, "endpoint.restored", endpoint)
    return endpoint


def _locked(endpoint: Endpoint) -> Endpoint:
    locked = Endpoint.objects.select_for_update(of=("self",)).select_related("project", "credential")
    return locked.get(pk=endpoint.pk)


def _insert(endpoint: Endpoint) -> None:
    try:
        with transaction.atomic():
            endpoint.save(force_insert=True)
    except IntegrityError:
        # Somebody created one with this slug, or the first default, in the same moment.
        text = _("Somebody created an endpoint meanwhile. Look at the list, then try again.")
        raise Conflict(text, code="endpoint_taken") from None


def _clear_default(project: Project) -> None:
    Endpoint.objects.filter(project=project, is_default=True).update(is_default=False)


def _base_url(endpoint: Endpoint) -> str:
    return endpoint.credential.base_url if endpoint.credential else ""


def _check_model(provider: str, model_name: str, errors: dict[str, list[str]]) -> None:
    allowed = [one for one in Provider.values if one != Provider.SCRIPTED or settings.ALLOW_SCRIPTED_PROVIDER]
    if provider not in allowed:
        errors["provider"] = [_("Choose one of: %s.") % ", ".join(allowed)]
    if not model_name or len(model_name) > MAX_MODEL_NAME or not model_name.isprintable():
        errors["model_name"] = [_("Enter the model's name as the provider spells it, such as “gpt-4o-mini”.")]
    elif provider == Provider.LOCAL and not LOCAL_NAME.match(model_name):
        # The name becomes the name of a folder.
        errors["model_name"] = [_("Enter the name of a folder of local models, such as “smollm2-135m-instruct”.")]


def _check_credential(endpoint: Endpoint, credential: Credential | None, errors: dict[str, list[str]]) -> None:
    if endpoint.provider in FREE_PROVIDERS:
        if credential is not None:
            errors["credential"] = [_("A local model needs no credential.")]
        return
    if credential is None:
        errors["credential"] = [_("Choose the credential that the provider is called with.")]
    elif credential.project_id != endpoint.project_id or not credential.is_live:
        errors["credential"] = [_("Choose a credential of this project.")]
    elif credential.provider != endpoint.provider:
        errors["credential"] = [_("This credential is for another provider.")]
    else:
        endpoint.credential = credential


def _set_texts(endpoint: Endpoint, errors: dict[str, list[str]], *, name: str | None, description: str | None) -> None:
    if name is not None:
        endpoint.name = name.strip()
        if not endpoint.name or len(endpoint.name) > MAX_NAME or not endpoint.name.isprintable():
            errors["name"] = [_("Enter a name of at most %d characters.") % MAX_NAME]
    if description is not None:
        endpoint.description = description.strip()
        if len(endpoint.description) > MAX_DESCRIPTION or "\x00" in endpoint.description:
            errors["description"] = [_("At most %d characters of text.") % MAX_DESCRIPTION]


def _set_parameters(endpoint: Endpoint, parameters: Mapping[str, Any], errors: dict[str, list[str]]) -> None:
    errors.update(parameter_errors(endpoint.provider, parameters))
    endpoint.parameters = {name: value for name, value in parameters.items() if value is not None}


def _set_context(endpoint: Endpoint, value: int | None, errors: dict[str, list[str]]) -> None:
    if value is not None and not 0 < value <= MAX_CONTEXT:
        errors["context_window"] = [_("Enter a number of tokens, such as 128000.")]
    endpoint.context_window = value


def _set_price(
    endpoint: Endpoint, given: Mapping[str, Any] | None, listed: prices.Price, errors: dict[str, list[str]]
) -> None:
    if given is None:
        _apply(endpoint, listed)
        return
    price, problems = prices.from_input(given)
    errors.update(problems)
    _apply(endpoint, price)


def _apply(endpoint: Endpoint, price: prices.Price) -> None:
    for field in PRICE_FIELDS:
        setattr(endpoint, field, getattr(price, field))
    endpoint.price_source = price.source
    endpoint.priced_at = timezone.now() if price.source else None


def _same_price(endpoint: Endpoint, given: Mapping[str, Any]) -> bool:
    """Saving a form that shows the listed price does not make it a price entered by hand."""
    price, problems = prices.from_input(given)
    return not problems and all(getattr(endpoint, field) == getattr(price, field) for field in prices.FIELDS)


def _record(actor: Actor, action: str, endpoint: Endpoint, **detail: object) -> None:
    audit.record(
        actor,
        action,
        project_id=endpoint.project_id,
        target_kind="endpoint",
        target_id=endpoint.pk,
        detail={"slug": endpoint.slug, **detail},
    )
