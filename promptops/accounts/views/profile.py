"""A person's own settings: name, language, theme, password, and the sessions elsewhere."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from promptops.accounts import services
from promptops.accounts.access import UserRequest, user_view
from promptops.accounts.forms import PasswordForm, ProfileForm
from promptops.accounts.throttle import address_of
from promptops.accounts.views.signing_in import BY_LINK_AT, came_by_link
from promptops.core.errors import AppError
from promptops.core.forms import put_errors
from promptops.core.htmx import redirect, render

YEAR_SECONDS = 365 * 24 * 3600


@require_http_methods(["GET", "HEAD", "POST"])
@user_view
def profile(request: UserRequest) -> HttpResponse:
    """Everything on one page; this form changes name, language and theme."""
    user = request.user
    if request.method != "POST":
        return _page(request)
    form = ProfileForm(request.POST)
    if not form.is_valid():
        return _page(request, profile_form=form, status=422)
    try:
        services.change_profile(user, **form.cleaned_data)
    except AppError as error:
        put_errors(form, error)
        return _page(request, profile_form=form, status=error.http_status)
    messages.success(request, _("Your profile is saved."))
    answer = redirect(request, "accounts:profile")
    # The cookie is this browser's choice and goes before the person's; whoever chooses here means both.
    answer.set_cookie("theme", user.theme, max_age=YEAR_SECONDS, samesite="Lax")
    return answer


@sensitive_post_parameters("current", "password")
@require_POST
@user_view
def change_password(request: UserRequest) -> HttpResponse:
    """A new password; every other session of the person ends."""
    user = request.user
    form = PasswordForm(request.POST, ask_current=asks_current(request))
    if not form.is_valid():
        return _page(request, password_form=form, status=422)
    try:
        current = form.cleaned_data.get("current")
        if current is not None:
            services.check_password(user, current, address=address_of(request))
        services.change_password(user, password=form.cleaned_data["password"])
    except AppError as error:
        put_errors(form, error)
        return _page(request, password_form=form, status=error.http_status)
    update_session_auth_hash(request, user)
    request.session.pop(BY_LINK_AT, None)
    messages.success(request, _("Your password is changed. You are signed out everywhere else."))
    return redirect(request, "accounts:profile")


@require_POST
@user_view
def sign_out_elsewhere(request: UserRequest) -> HttpResponse:
    services.end_sessions(request.user)
    update_session_auth_hash(request, request.user)
    messages.success(request, _("You are signed out everywhere but here."))
    return redirect(request, "accounts:profile")


def asks_current(request: UserRequest) -> bool:
    """Return whether a new password needs the present one: not without one, nor just after coming in by a link."""
    return request.user.has_usable_password() and not came_by_link(request)


def _page(
    request: UserRequest,
    *,
    profile_form: ProfileForm | None = None,
    password_form: PasswordForm | None = None,
    status: int = 200,
) -> HttpResponse:
    user = request.user
    shown = {"name": user.name, "language": user.language or ProfileForm.AS_BROWSER, "theme": user.theme}
    context: dict[str, Any] = {
        "profile_form": profile_form or ProfileForm(initial=shown),
        "password_form": password_form or PasswordForm(ask_current=asks_current(request)),
        "has_password": user.has_usable_password(),
    }
    return render(request, "accounts/profile.html", context, status=status)
