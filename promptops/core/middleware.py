"""Failures of views become pages (see ``core/error_pages.py``). REST has its own frame in ``promptops/rest.py``."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from promptops.core.error_pages import MethodNotAllowed, database_away, error_response
from promptops.core.errors import AppError
from promptops.core.rest import API_ROOT

logger = logging.getLogger("promptops")


class AppErrorMiddleware:
    """Turn an AppError that a view raised, a lost database, and a refused method into what a person can read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code == 405 and not request.path_info.startswith(API_ROOT):
            page = error_response(request, MethodNotAllowed(_("Go back to the page before and use its buttons.")))
            page["Allow"] = response["Allow"]
            return page
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if request.path_info.startswith(API_ROOT):
            return None
        if isinstance(exception, AppError):
            return error_response(request, exception)
        if isinstance(exception, OperationalError | InterfaceError):
            logger.error("the database did not answer: %s", exception)
            return database_away(request)
        return None
