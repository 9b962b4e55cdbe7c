"""Signing in by password or by a one-time link, and signing out."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from promptops.accounts import services
from promptops.accounts.forms import SignInForm
from promptops.accounts.models import User
from promptops.accounts.throttle import address_of
from promptops.core.errors import AppError
from promptops.core.forms import put_errors

# Whoever has just come in by a link may choose a password without knowing the old one, for as long (seconds).
NEW_PASSWORD_SECONDS = 3600
BY_LINK_AT = "signed_in_by_link_at"


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and signing in by it; then on to ``next``."""
    following = own_path(request.POST.get("next") or request.GET.get("next"))
    if request.method != "POST":
        if request.user.is_authenticated:
            return HttpResponseRedirect(following)
        return _sign_in_page(request, SignInForm(), following)
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _sign_in_page(request, form, following, status=422)
    try:
        user = services.sign_in_by_password(**form.cleaned_data, address=address_of(request))
    except AppError as error:
        put_errors(form, error)
        return _sign_in_page(request, form, following, status=error.http_status)
    login(request, user)  # makes a new session key: one that somebody planted before is worth nothing
    return HttpResponseRedirect(following)


def own_path(wanted: str | None) -> str:
    """Return ``wanted`` where it is a path of this installation, else home: no link of ours leads to a stranger."""
    if wanted and wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return reverse("accounts:home")


def _sign_in_page(request: HttpRequest, form: SignInForm, following: str, *, status: int = 200) -> HttpResponse:
    context = {"form": form, "next": following, "nobody_yet": not User.objects.exists()}
    return render(request, "accounts/sign_in.html", context, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    messages.success(request, _("You are signed out."))
    return HttpResponseRedirect(reverse("accounts:sign-in"))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def link(request: HttpRequest, secret: str) -> HttpResponse:
    """A page with a button: chat programs open every link to show a preview, and must not use it up."""
    if request.method != "POST":
        return render(request, "accounts/link.html", {"person": services.find_sign_in_link(secret).user})
    user = services.redeem_sign_in_link(secret)
    login(request, user)
    remember_link(request)
    return HttpResponseRedirect(reverse("accounts:home"))


def remember_link(request: HttpRequest) -> None:
    """Note that this session began with a link (see NEW_PASSWORD_SECONDS)."""
    request.session[BY_LINK_AT] = timezone.now().timestamp()


def came_by_link(request: HttpRequest) -> bool:
    """Return whether this session began with a link within the last hour."""
    at = request.session.get(BY_LINK_AT)
    return at is not None and timezone.now().timestamp() - at < NEW_PASSWORD_SECONDS
