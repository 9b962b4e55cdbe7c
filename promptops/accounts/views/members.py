"""The people of a project: the list, one member, inviting others by link."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Lower
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from promptops.accounts import services
from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.forms import InvitationForm, RoleForm
from promptops.accounts.models import Membership, Role
from promptops.accounts.policies import Permission, can, grantable_roles, people_in_care_of
from promptops.accounts.presenters import ROLE_HELP
from promptops.accounts.querysets import members_of, open_invitations_of
from promptops.accounts.views.tables import CSV_ROWS, PAGE_SIZE, order_of, sort_of, words_of
from promptops.core.csv_export import csv_response
from promptops.core.errors import AppError, NotFound
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render
from promptops.core.pagination import page_of

COLUMNS = {"name": "name_key", "role": "rank", "since": "created_at"}
DEFAULT_SORT = "name"
LIST = "accounts/members.html"


@require_safe
@project_view(Permission.READ)
def member_list(request: ProjectRequest) -> HttpResponse:
    """Everybody in the project; for admins also the invitations."""
    return render(request, f"{LIST}#people", _list_context(request))


@require_safe
@project_view(Permission.READ)
def member_list_csv(request: ProjectRequest) -> HttpResponseBase:
    """The list with the same search and order, as CSV."""
    order = order_of(sort_of(request, COLUMNS, DEFAULT_SORT), COLUMNS)
    header = ["name", "email", "role", "since", "user_id"]
    return csv_response(f"members-{request.project.slug}", header, _csv_rows(_found(request).order_by(*order)))


def _csv_rows(members: QuerySet[Membership]) -> Iterator[list[Any]]:
    for one in members[:CSV_ROWS]:
        yield [one.user.name, one.user.email, one.role, one.created_at, one.user_id]


def _found(request: ProjectRequest) -> QuerySet[Membership]:
    """The members that the search finds, with the columns by which they sort."""
    ranks = [When(role=role.value, then=Value(role.rank)) for role in Role]
    members = members_of(request.project).annotate(
        name_key=Lower(F("user__name")), rank=Case(*ranks, default=Value(0), output_field=IntegerField())
    )
    for word in words_of(request).split():
        members = members.filter(Q(user__name__icontains=word) | Q(user__email__icontains=word))
    return members


def _list_context(request: ProjectRequest, **more: Any) -> dict[str, Any]:
    sort = sort_of(request, COLUMNS, DEFAULT_SORT)
    page = page_of(_found(request), order=order_of(sort, COLUMNS), cursor=request.GET.get("cursor"), limit=PAGE_SIZE)
    csv_url = reverse("accounts:members-csv", args=[request.project.slug])
    context: dict[str, Any] = {
        "members": page.items,
        "next_cursor": page.next,
        "q": words_of(request),
        "sort": sort,
        "table_target": "#people",
        "csv_url": f"{csv_url}?{request.GET.urlencode()}",
        "may_administer": can(request.actor, request.project, Permission.ADMIN),
    }
    if context["may_administer"]:
        context["form"] = InvitationForm(roles=grantable_roles(request.actor, request.project))
        context["invitations"] = open_invitations_of(request.project)
    return context | more


# --- Inviting --------------------------------------------------------------------------------------------------------


@never_cache
@require_POST
@project_view(Permission.ADMIN)
def invite(request: ProjectRequest) -> HttpResponse:
    """Make an invitation and show its link, this once."""
    form = InvitationForm(request.POST, roles=grantable_roles(request.actor, request.project))
    if not form.is_valid():
        return render(request, f"{LIST}#invitations", _list_context(request, form=form), status=422)
    try:
        _made, secret = services.create_invitation(request.actor, request.project, **form.cleaned_data)
    except AppError as error:
        put_errors(form, error)
        return render(request, f"{LIST}#invitations", _list_context(request, form=form), status=error.http_status)
    url = f"{settings.PUBLIC_URL}{reverse('accounts:invitation', args=[secret])}"
    return render(request, f"{LIST}#invitations", _list_context(request, invitation_url=url))


@require_POST
@project_view(Permission.ADMIN)
def invitation_revoke(request: ProjectRequest, invitation_id: int) -> HttpResponse:
    """Make an open invitation worthless."""
    found = open_invitations_of(request.project).filter(pk=invitation_id).first()
    if found is None:
        raise NotFound(_("This invitation is not open any more: it was used, revoked, or has expired."))
    services.revoke_invitation(request.actor, found)
    messages.success(request, _("The invitation is revoked; its link opens nothing."))
    return redirect(request, "accounts:members", request.project.slug)


# --- One member ------------------------------------------------------------------------------------------------------


@require_safe
@project_view(Permission.READ)
def member(request: ProjectRequest, member_id: int) -> HttpResponse:
    """One person in the project; for admins what can be changed about it."""
    return render(request, "accounts/member.html", _member_context(request, _member(request, member_id)))


@require_POST
@project_view(Permission.ADMIN)
def member_role(request: ProjectRequest, member_id: int) -> HttpResponse:
    """Give a member another role."""
    found = _member(request, member_id)
    form = RoleForm(request.POST, roles=grantable_roles(request.actor, request.project))
    if not form.is_valid():
        return render(request, "accounts/member.html", _member_context(request, found, form=form), status=422)
    changed = services.change_role(request.actor, found, role=form.cleaned_data["role"])
    told = {"name": found.user.name, "role": Role(changed.role).label}
    messages.success(request, _("%(name)s has the role “%(role)s” now.") % told)
    return redirect(request, "accounts:member", request.project.slug, found.pk)


@require_POST
@project_view(Permission.ADMIN)
def member_remove(request: ProjectRequest, member_id: int) -> HttpResponse:
    """End a membership."""
    found = _member(request, member_id)
    services.remove_member(request.actor, found)
    messages.success(request, _("%s is no longer in the project.") % found.user.name)
    return redirect(request, "accounts:members", request.project.slug)


@require_POST
@project_view(Permission.OWN)
def member_hand_over(request: ProjectRequest, member_id: int) -> HttpResponse:
    """Make a member the owner; the one who was stays as an admin."""
    found = _member(request, member_id)
    services.hand_over(request.actor, found)
    messages.success(request, _("%s owns the project now; you are an admin of it.") % found.user.name)
    return redirect(request, "accounts:member", request.project.slug, found.pk)


@never_cache
@require_POST
@project_view(Permission.ADMIN)
def member_link(request: ProjectRequest, member_id: int) -> HttpResponse:
    """Make a sign-in link for somebody who lost the password, and show it, this once."""
    found = _member(request, member_id)
    secret = services.create_member_sign_in_link(request.actor, found)
    url = f"{settings.PUBLIC_URL}{reverse('accounts:link', args=[secret])}"
    return render(request, "accounts/member.html#sign-in-link", _member_context(request, found, link_url=url))


def _member(request: ProjectRequest, member_id: int) -> Membership:
    found = members_of(request.project).filter(pk=member_id).first()
    if found is None:
        raise NotFound(_("This person is not in the project, or not any more."))
    return found


def _member_context(request: ProjectRequest, found: Membership, **more: Any) -> dict[str, Any]:
    actor, project = request.actor, request.project
    administers = can(actor, project, Permission.ADMIN)
    mine = found.user_id == request.user.pk
    changes = administers and not mine and found.role != Role.OWNER
    context = {
        "member": found,
        "role_help": ROLE_HELP[Role(found.role)],
        "is_me": mine,
        "may_administer": administers,
        "may_change": changes,
        "may_hand_over": changes and can(actor, project, Permission.OWN),
        "form": RoleForm(initial={"role": found.role}, roles=grantable_roles(actor, project)) if changes else None,
        "may_link": administers and not mine and people_in_care_of(actor).filter(pk=found.user_id).exists(),
    }
    return context | more
