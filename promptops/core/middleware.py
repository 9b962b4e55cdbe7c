"""Domain errors become pages. (REST has its own handler in ``promptops/api.py``.)"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from promptops.core.errors import AppError


class AppErrorMiddleware:
    """Turn an AppError that a view raised into a page, or into a toast where htmx asked for a fragment."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, AppError):
            return None
        template = "errors/fragment.html" if request.headers.get("HX-Request") == "true" else "errors/page.html"
        return render(request, template, {"error": exception}, status=exception.http_status)
