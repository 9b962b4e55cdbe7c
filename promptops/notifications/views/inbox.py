"""A person's inbox: what happened in all of their projects that they should know."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from promptops.accounts.access import UserRequest, user_view
from promptops.accounts.querysets import memberships_of
from promptops.core.errors import NotFound
from promptops.core.htmx import is_fragment, redirect, render, toast
from promptops.core.pagination import page_of
from promptops.notifications import services
from promptops.notifications.forms import EmailForm
from promptops.notifications.models import Notification
from promptops.notifications.presenters import told_of
from promptops.notifications.querysets import notifications_of
from promptops.notifications.selectors import unread_count

PAGE_SIZE = 30
ORDER = ("-at", "-id")
CHANGED = "inbox:changed"


@never_cache
@require_safe
@user_view
def inbox(request: UserRequest) -> HttpResponse:
    """The unread, newest first; with ``?show=all`` the read ones too, with ``?project=slug`` of one project."""
    return _page(request)


@never_cache
@require_safe
@user_view
def count(request: UserRequest) -> HttpResponse:
    """How many are unread, for the sidebar, which asks now and then."""
    return render(request, "notifications/count.html", {"unread": unread_count(request.user)})


@require_safe
@user_view
def open_notification(request: UserRequest, notification_id: int) -> HttpResponse:
    """Mark it read, and go to what it is about."""
    one = _own(request, notification_id)
    if request.method == "GET":
        services.mark_read(one)
    return HttpResponseRedirect(one.url)


@require_POST
@user_view
def mark_read(request: UserRequest, notification_id: int) -> HttpResponse:
    services.mark_read(_own(request, notification_id))
    return _changed(request)


@require_POST
@user_view
def mark_unread(request: UserRequest, notification_id: int) -> HttpResponse:
    services.mark_unread(_own(request, notification_id))
    return _changed(request)


@require_POST
@user_view
def mark_all_read(request: UserRequest) -> HttpResponse:
    """Everything, or everything of the project that the list shows."""
    marked = services.mark_all_read(request.user, _project(request))
    said = ngettext("%d notification is marked read.", "%d notifications are marked read.", marked) % marked
    if is_fragment(request):
        return toast(_changed(request), said)
    messages.success(request, said)
    return _changed(request)


@require_http_methods(["GET", "HEAD", "POST"])
@user_view
def email_settings(request: UserRequest) -> HttpResponse:
    """What is e-mailed to the person: a card of the profile, which loads it from here."""
    context: dict[str, Any] = {"email_enabled": settings.EMAIL_ENABLED}
    if request.method != "POST":
        form = EmailForm(initial={"kinds": sorted(services.emailed_kinds(request.user))})
        return render(request, "notifications/email_settings.html#form", {**context, "form": form})
    form = EmailForm(request.POST)
    if not form.is_valid():
        return render(request, "notifications/email_settings.html#form", {**context, "form": form}, status=422)
    services.choose_emails(request.user, form.cleaned_data["kinds"])
    said = _("Your e-mail settings are saved.")
    if is_fragment(request):
        return toast(render(request, "notifications/email_settings.html#form", {**context, "form": form}), said)
    messages.success(request, said)
    return redirect(request, "accounts:profile")


def _own(request: UserRequest, notification_id: int) -> Notification:
    one = notifications_of(request.user).filter(pk=notification_id).first() if notification_id < 2**63 else None
    if one is None:
        raise NotFound(_("You have no such notification."))
    return one


def _project(request: UserRequest) -> Any:
    """The project of ``?project=``, where the person belongs to it; else None, which is all of them."""
    slug = request.GET.get("project", "")
    found = memberships_of(request.user).filter(project__slug=slug).first() if slug else None
    return found.project if found else None


def _changed(request: UserRequest) -> HttpResponse:
    """The list as it stands now; the sidebar counts anew."""
    if is_fragment(request):
        return trigger_client_event(_page(request), CHANGED)
    query = request.GET.urlencode()
    return HttpResponseRedirect(reverse("notifications:inbox") + (f"?{query}" if query else ""))


def _page(request: UserRequest) -> HttpResponse:
    project, everything = _project(request), request.GET.get("show") == "all"
    rows = notifications_of(request.user)
    if project is not None:
        rows = rows.filter(project=project)
    if not everything:
        rows = rows.filter(read_at=None)
    page = page_of(rows, order=ORDER, cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    context = {
        "rows": [(one, told_of(one)) for one in page.items],
        "next_cursor": page.next,
        "everything": everything,
        "chosen_project": project,
        "memberships": list(memberships_of(request.user)),
        "unread": unread_count(request.user, project),
        "none_at_all": not page.items and not notifications_of(request.user).exists(),
        "query": request.GET.urlencode(),
    }
    return render(request, "notifications/inbox.html#list", context)
