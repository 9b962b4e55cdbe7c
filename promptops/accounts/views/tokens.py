"""API tokens: the list, making one, revoking."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Coalesce, Lower
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.forms import TokenForm
from promptops.accounts.models import ApiToken
from promptops.accounts.policies import Permission
from promptops.accounts.querysets import tokens_of
from promptops.accounts.tokens import create_token, revoke_token
from promptops.accounts.views.tables import CSV_ROWS, PAGE_SIZE, order_of, sort_of, words_of
from promptops.core.csv_export import csv_response
from promptops.core.errors import AppError, NotFound
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render
from promptops.core.pagination import page_of

COLUMNS = {"name": "name_key", "created": "created_at", "used": "used_key", "expires": "expires_key"}
DEFAULT_SORT = "-created"
NEVER_USED = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NEVER_EXPIRES = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


@require_safe
@project_view(Permission.ADMIN)
def token_list(request: ProjectRequest) -> HttpResponse:
    """The tokens that work; with ``?ended=1`` those that were revoked or have expired."""
    sort = sort_of(request, COLUMNS, DEFAULT_SORT)
    page = page_of(_found(request), order=order_of(sort, COLUMNS), cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    context = {
        "tokens": page.items,
        "next_cursor": page.next,
        "q": words_of(request),
        "ended": _wants_ended(request),
        "none_at_all": not page.items and not tokens_of(request.project).exists(),
        "sort": sort,
        "table_target": "#tokens",
        "csv_url": f"{reverse('accounts:tokens-csv', args=[request.project.slug])}?{request.GET.urlencode()}",
    }
    return render(request, "accounts/tokens.html#tokens", context)


@require_safe
@project_view(Permission.ADMIN)
def token_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """The list with the same search and order, as CSV."""
    order = order_of(sort_of(request, COLUMNS, DEFAULT_SORT), COLUMNS)
    header = [
        "id",
        "name",
        "prefix",
        "role",
        "scopes",
        "created_by",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    ]
    return csv_response(f"tokens-{request.project.slug}", header, _csv_rows(_found(request).order_by(*order)))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def token_create(request: ProjectRequest) -> HttpResponse:
    """The form; its answer shows the secret, this once."""
    template = "accounts/token_create.html#form"
    if request.method != "POST":
        return render(request, template, {"form": TokenForm()})
    form = TokenForm(request.POST)
    if not form.is_valid():
        return render(request, template, {"form": form}, status=422)
    try:
        token, secret = create_token(request.actor, request.project, **form.options())
    except AppError as error:
        put_errors(form, error)
        return render(request, template, {"form": form}, status=error.http_status)
    call = f'curl -H "Authorization: Bearer {secret}" \\\n  "{settings.PUBLIC_URL}/api/v1/me"'
    return render(request, template, {"token": token, "secret": secret, "call": call})


@require_POST
@project_view(Permission.ADMIN)
def token_revoke(request: ProjectRequest, token_id: int) -> HttpResponse:
    """End a token. Doing it twice is no error."""
    token = tokens_of(request.project).filter(pk=token_id).first()
    if token is None:
        raise NotFound(_("This project has no such token."))
    revoke_token(request.actor, token)
    messages.success(request, _("The token “%s” is revoked; every server refuses it within a second.") % token.name)
    return redirect(request, "accounts:tokens", request.project.slug)


def _found(request: ProjectRequest) -> QuerySet[ApiToken]:
    """The tokens that the filters leave, with the columns by which they sort."""
    ended = Q(revoked_at__isnull=False) | Q(expires_at__lte=timezone.now())
    tokens = tokens_of(request.project).filter(ended if _wants_ended(request) else ~ended)
    for word in words_of(request).split():
        tokens = tokens.filter(Q(name__icontains=word) | Q(prefix__startswith=word))
    return tokens.annotate(
        name_key=Lower("name"),
        used_key=Coalesce("last_used_at", Value(NEVER_USED)),
        expires_key=Coalesce("expires_at", Value(NEVER_EXPIRES)),
    )


def _wants_ended(request: ProjectRequest) -> bool:
    return request.GET.get("ended") == "1"


def _csv_rows(tokens: QuerySet[ApiToken]) -> Iterator[list[Any]]:
    for one in tokens[:CSV_ROWS]:
        yield [
            one.pk,
            one.name,
            one.prefix,
            one.role,
            " ".join(one.scopes),
            one.created_by.name if one.created_by else None,
            one.created_at,
            one.last_used_at,
            one.expires_at,
            one.revoked_at,
        ]
