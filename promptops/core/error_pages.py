"""What a browser sees when a request fails: a page, a toast where htmx asked for a fragment, or problem JSON.

Everything that fails below ``/api`` is answered by ``promptops/rest.py`` instead.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from promptops.core.errors import AppError, Forbidden, NotFound, Unavailable
from promptops.core.htmx import is_fragment, toast
from promptops.core.rest import problem_response

TITLES = {
    400: gettext_lazy("The request could not be understood"),
    401: gettext_lazy("You are not signed in"),
    405: gettext_lazy("This address does not take that kind of request"),
    409: gettext_lazy("This has changed in the meantime"),
    413: gettext_lazy("This is too large"),
    422: gettext_lazy("This cannot be done as asked"),
    429: gettext_lazy("Too many attempts"),
    503: gettext_lazy("Not available at the moment"),
}
OWN_PAGE = {403: "403.html", 404: "404.html"}


class BadRequest(AppError):
    http_status = 400
    default_code = "bad_request"


class MethodNotAllowed(AppError):
    http_status = 405
    default_code = "method_not_allowed"


def error_response(request: HttpRequest, error: AppError) -> HttpResponse:
    """Answer with the error in the form that the caller can show."""
    if is_fragment(request):
        answer = HttpResponse(status=error.http_status, headers={"HX-Reswap": "none"})
        toast(answer, error.detail, "error")
    elif request.accepts("application/json") and not request.accepts("text/html"):
        return problem_response(error)
    else:
        template = OWN_PAGE.get(error.http_status, "error.html")
        answer = render(request, template, page_context(error), status=error.http_status)
    if "retry_after" in error.extra:
        answer["Retry-After"] = str(error.extra["retry_after"])
    return answer


def page_context(error: AppError) -> dict[str, Any]:
    return {
        "status": error.http_status,
        "title": TITLES.get(error.http_status, _("This did not work")),
        "detail": error.detail,
        "errors": getattr(error, "errors", {}),
    }


def database_away(request: HttpRequest) -> HttpResponse:
    """The page for a database that does not answer; rendered without a request: it asks for no session."""
    error = Unavailable(_("The database does not answer at the moment. Try again in a few seconds."), retry_after=2)
    if is_fragment(request) or not request.accepts("text/html"):
        return error_response(request, error)
    page = render_to_string("error.html", page_context(error))
    return HttpResponse(page, status=error.http_status, headers={"Retry-After": "2"})


# --- Django's own failures (promptops/urls.py, settings.CSRF_FAILURE_VIEW) ------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(
        request, BadRequest(_("The address or the form was damaged on its way here. Reload the page."))
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(request, Forbidden(_("You may not do this.")))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return error_response(
        request,
        NotFound(
            _(
                "It was moved or never existed, or it belongs to a project of which you are not a member. "
                "Ask one of the project's admins for an invitation."
            )
        ),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    if is_fragment(request) or not request.accepts("text/html"):
        text = _("This page is too old, or you signed in or out in another tab. Reload it; drafts are kept.")
        return error_response(request, Forbidden(text, code="csrf_failed"))
    return render(request, "403_csrf.html", status=403)
