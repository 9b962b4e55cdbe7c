"""The page behind an invitation's link."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from promptops.accounts import services
from promptops.accounts.actors import user_actor
from promptops.accounts.forms import SignUpForm
from promptops.accounts.models import Invitation, Membership, Role, User
from promptops.accounts.presenters import ROLE_HELP
from promptops.core.errors import Invalid
from promptops.core.forms import put_errors


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Who is signed in joins by a button; anybody else makes an account here, or signs in and comes back."""
    found = services.find_invitation(secret)
    if isinstance(request.user, User):
        return _join(request, secret, found, request.user)
    if request.method != "POST":
        return _page(request, found, SignUpForm())
    form = SignUpForm(request.POST)
    if not form.is_valid():
        return _page(request, found, form, status=422)
    try:
        membership = services.sign_up_by_invitation(secret, **form.cleaned_data)
    except Invalid as error:
        put_errors(form, error)
        return _page(request, found, form, status=error.http_status)
    login(request, membership.user)
    return _welcome(request, membership)


def _join(request: HttpRequest, secret: str, found: Invitation, user: User) -> HttpResponse:
    if request.method == "POST":
        return _welcome(request, services.accept_invitation(secret, user))
    has = user_actor(user).role_in(found.project)
    return _page(request, found, None, has=has, gains=has is None or not has.includes(Role(found.role)))


def _welcome(request: HttpRequest, membership: Membership) -> HttpResponse:
    names = {"project": membership.project.name, "role": Role(membership.role).label}
    messages.success(request, _("Welcome to %(project)s. Your role is “%(role)s”.") % names)
    return HttpResponseRedirect(reverse("accounts:project-home", args=[membership.project.slug]))


def _page(
    request: HttpRequest, found: Invitation, form: SignUpForm | None, *, status: int = 200, **more: object
) -> HttpResponse:
    role = Role(found.role)
    context = {"invitation": found, "role": role.label, "role_help": ROLE_HELP[role], "form": form, **more}
    return render(request, "accounts/invitation.html", context, status=status)
