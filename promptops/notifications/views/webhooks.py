"""Webhooks, in the settings of a project: for admins only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.errors import AppError
from promptops.core.forms import put_errors
from promptops.core.htmx import is_fragment, redirect, render
from promptops.notifications import services
from promptops.notifications.forms import WebhookEditForm, WebhookForm
from promptops.notifications.models import Webhook
from promptops.notifications.presenters import state_of
from promptops.notifications.querysets import webhooks_of
from promptops.notifications.selectors import get_webhook
from promptops.notifications.snippets import verification
from promptops.notifications.views.deliveries import log_context

PAGE = "notifications/webhook.html"
CREATE = "notifications/webhook_create.html#form"


@require_safe
@project_view(Permission.ADMIN)
def webhook_list(request: ProjectRequest) -> HttpResponse:
    """All of them (a project has few): where each goes, what it hears, how it does."""
    rows = [(one, state_of(one)) for one in webhooks_of(request.project)]
    return render(request, "notifications/webhooks.html", {"rows": rows})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def webhook_create(request: ProjectRequest) -> HttpResponse:
    """The form; its answer shows the secret, this once."""
    if request.method != "POST":
        return render(request, CREATE, {"form": WebhookForm(initial={"events": list(services.subscribable())})})
    form = WebhookForm(request.POST)
    if not form.is_valid():
        return render(request, CREATE, {"form": form}, status=422)
    try:
        webhook, secret = services.create_webhook(request.actor, request.project, **form.cleaned_data)
    except AppError as error:
        put_errors(form, error)
        return render(request, CREATE, {"form": form}, status=error.http_status)
    return render(request, CREATE, {"webhook": webhook, "secret": secret, "snippets": verification(webhook)})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@project_view(Permission.ADMIN)
def webhook(request: ProjectRequest, pk: int) -> HttpResponse:
    """One webhook: its settings, its secret, a test, and what was delivered."""
    found = get_webhook(request.project, pk)
    if request.method != "POST":
        return _page(request, found)
    form = WebhookEditForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form=form, status=422)
    try:
        services.update_webhook(request.actor, found, **form.cleaned_data)
    except AppError as error:
        put_errors(form, error)
        return _page(request, found, form=form, status=error.http_status)
    messages.success(request, _("The webhook is saved."))
    return redirect(request, "notifications:webhook", request.project.slug, found.pk)


@never_cache
@require_POST
@project_view(Permission.ADMIN)
def webhook_rotate(request: ProjectRequest, pk: int) -> HttpResponse:
    """A new secret, shown this once; the old one signs too for a day."""
    found, secret = services.rotate_secret(request.actor, get_webhook(request.project, pk))
    return _page(request, found, secret=secret)


@require_POST
@project_view(Permission.ADMIN)
def webhook_test(request: ProjectRequest, pk: int) -> HttpResponse:
    """Send a ping, and show what came back."""
    found = get_webhook(request.project, pk)
    delivery = services.ping_webhook(request.actor, found)
    if not is_fragment(request):
        return redirect(request, "notifications:webhook", request.project.slug, found.pk)
    context = {**_context(get_webhook(request.project, pk)), "tested": delivery}
    return trigger_client_event(render(request, f"{PAGE}#test", context), "deliveries:changed")


@require_POST
@project_view(Permission.ADMIN)
def webhook_delete(request: ProjectRequest, pk: int) -> HttpResponse:
    services.delete_webhook(request.actor, get_webhook(request.project, pk))
    messages.success(request, _("The webhook is deleted."))
    return redirect(request, "notifications:webhooks", request.project.slug)


def _context(found: Webhook) -> dict[str, Any]:
    old_until = found.previous_until if found.previous_until and found.previous_until > timezone.now() else None
    return {"webhook": found, "state": state_of(found), "old_until": old_until}


def _page(
    request: ProjectRequest,
    found: Webhook,
    *,
    form: WebhookEditForm | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    given = {name: getattr(found, name) for name in ("url", "description", "events", "is_active")}
    context = {
        **_context(found),
        "form": form or WebhookEditForm(initial=given),
        "secret": secret,
        "snippets": verification(found),
        **log_context(request, found),
    }
    fragment = "#secret" if secret else "#form"
    return render(request, f"{PAGE}{fragment}", context, status=status)
