"""The language that a person chose goes before the one that the browser asks for."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from promptops.accounts.models import User


class LanguageMiddleware:
    """Behind LocaleMiddleware, which decides for visitors, and behind authentication, which says who it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = request.user.language if isinstance(request.user, User) else ""
        if language in dict(settings.LANGUAGES):
            translation.activate(language)  # LocaleMiddleware begins the next request with its own
            request.LANGUAGE_CODE = language
        return self.get_response(request)
