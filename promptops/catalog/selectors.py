"""Reads of the catalog beyond one queryset."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from promptops.accounts.models import Project
from promptops.catalog.models import Credential, Endpoint
from promptops.catalog.querysets import credentials_of, endpoints_of
from promptops.core.errors import NotFound


def get_endpoint(project: Project, slug: str) -> Endpoint:
    """Return an endpoint, archived or not. Raises NotFound."""
    endpoint = endpoints_of(project, archived=None).filter(slug=slug).first()
    if endpoint is None:
        raise NotFound(_("This project has no model endpoint “%s”.") % slug[:80], code="endpoint_not_found")
    return endpoint


def get_credential(project: Project, pk: int) -> Credential:
    """Return a credential, archived or not. Raises NotFound."""
    credential = credentials_of(project, archived=None).filter(pk=pk).first() if 0 < pk < 2**63 else None
    if credential is None:
        raise NotFound(_("This project has no such credential."), code="credential_not_found")
    return credential


def get_credential_named(project: Project, name: str) -> Credential:
    """Return the living credential with that name. Raises NotFound."""
    credential = credentials_of(project).filter(name=name).first()
    if credential is None:
        raise NotFound(_("This project has no credential “%s”.") % name[:80], code="credential_not_found")
    return credential


def default_endpoint(project: Project) -> Endpoint | None:
    """Return the endpoint that is used where nobody names one; None when the project has not chosen any."""
    return endpoints_of(project).filter(is_default=True).first()


def matching(endpoints: QuerySet[Endpoint], text: str) -> QuerySet[Endpoint]:
    """Return those whose slug, name or model has every word."""
    for word in text.split():
        endpoints = endpoints.filter(Q(slug__icontains=word) | Q(name__icontains=word) | Q(model_name__icontains=word))
    return endpoints
