"""The frame around ``/api``: errors are problem JSON, HEAD is GET without a body, a POST may carry an idempotency key.

A middleware, the outermost one, because errors also arise before a view is found (a bad host, an unknown path) and in
other middlewares; nobody who asks for JSON should get a page.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja.errors import AuthenticationError, HttpError, Throttled, ValidationError

from promptops.accounts import idempotency
from promptops.accounts.bearer import bearer_of, secret_of
from promptops.core.errors import AppError, Invalid, RateLimited, TooLarge, Unauthenticated, Unavailable
from promptops.core.rest import API_ROOT, NOTE_HEADER, PROBLEM_TYPE, problem_response
from promptops.prompts.selectors import Moved

logger = logging.getLogger("promptops.api")

_PLAIN = {
    400: gettext_lazy("The request could not be read."),
    404: gettext_lazy("There is nothing at this path. See /api/v1/docs."),
    405: gettext_lazy("This path does not take that method. See /api/v1/docs."),
    413: gettext_lazy("The body is too large."),
}


class RestMiddleware:
    """The frame. See the module."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(API_ROOT):
            return self.get_response(request)
        head = request.method == "HEAD"
        if head:
            request.method = "GET"
        answer = self._answer(request)
        if answer.status_code >= 400 and not str(answer.get("Content-Type", "")).startswith(PROBLEM_TYPE):
            answer = plain_problem(answer)
        note = getattr(request, "cache_note", None)
        if note is not None and answer.status_code < 400:
            answer[NOTE_HEADER] = json.dumps(note)
        if head and isinstance(answer, HttpResponse):
            answer["Content-Length"] = str(len(answer.content))
            answer.content = b""
        return answer

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        try:
            if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
                raise Invalid(_("A path or query has a NUL character."))
            if request.method != "POST" or idempotency.HEADER not in request.headers:
                return self.get_response(request)
            secret = secret_of(request)
            if secret is None:
                return self.get_response(request)  # answers 401
            token = bearer_of(request, secret)
            return idempotency.once(request, token, lambda: self.get_response(request))  # type: ignore[arg-type,return-value]
        except Exception as error:
            return on_error(request, error)


def on_error(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the problem for whatever a view raised. What nobody expected is logged, and told to nobody else."""
    if isinstance(error, HttpError) and isinstance(error.__cause__, AppError | RequestDataTooBig):
        error = error.__cause__  # what our parser said
    if isinstance(error, Moved):
        return moved(request, error)
    problem = as_app_error(error)
    if problem is None:
        logger.error("%s %s failed", request.method, request.path_info, exc_info=error)
        return problem_response(
            {
                "type": "urn:promptops:problem:server_error",
                "title": HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
                "status": 500,
                "code": "server_error",
                "detail": _("Something went wrong on the server. It is in the server's log."),
            }
        )
    return problem_response(problem)


def as_app_error(error: Exception) -> AppError | None:
    """Return the domain error that an exception amounts to; None where there is none."""
    match error:
        case AppError():
            return error
        case ValidationError():
            return Invalid(_("The request is not valid: see errors."), errors=_by_path(error))
        case AuthenticationError():
            return Unauthenticated(
                _("Send an API token in the header “Authorization: Bearer po_…”. Browser sessions are not accepted.")
            )
        case Throttled():
            return RateLimited(_("Too many requests. Wait, then ask again."), retry_after=error.wait or 1)
        case RequestDataTooBig():
            return TooLarge(_("The body is too large."))
        case HttpError():
            return _error_of_status(error.status_code, str(error))
        case OperationalError() | InterfaceError():
            logger.error("the database did not answer: %s", error)
            return Unavailable(
                _("The database does not answer at the moment. Ask again in a few seconds."), retry_after=2
            )
    return None


def moved(request: HttpRequest, error: Moved) -> HttpResponse:
    """Redirect to the same place under the prompt's present slug, keeping method, body and query (308)."""
    parts = request.path.split("/")
    parts[parts.index("prompts") + 1] = error.slug
    query = request.META.get("QUERY_STRING", "")
    answer = problem_response(error)
    answer["Location"] = "/".join(parts) + (f"?{query}" if query else "")
    return answer


def plain_problem(answer: HttpResponseBase) -> HttpResponse:
    """Return the problem form of an error page that Django made (404, 405, 400 …), with its telling headers."""
    detail = str(_PLAIN.get(answer.status_code) or _("The request failed."))
    problem = problem_response(_error_of_status(answer.status_code, detail))
    for name in ("Allow", "Retry-After"):
        if answer.has_header(name):
            problem[name] = answer[name]
    return problem


def _error_of_status(status: int, detail: str) -> AppError:
    kind = type("PlainError", (AppError,), {"http_status": status})
    phrase = HTTPStatus(status).phrase
    error: AppError = kind(detail, code=phrase.lower().replace(" ", "_").replace("-", "_"))
    return error


def _by_path(error: ValidationError) -> dict[str, list[str]]:
    """``{"body": …, "messages", 0}`` → ``messages.0``: callers know the fields that they sent, not our parameters."""
    by_path: dict[str, list[str]] = {}
    for one in error.errors:
        place = [str(part) for part in one["loc"]]
        path = ".".join(place[2:] if place[0] in ("body", "query") and len(place) > 2 else place[1:])
        by_path.setdefault(path or place[0], []).append(str(one["msg"]))
    return by_path
