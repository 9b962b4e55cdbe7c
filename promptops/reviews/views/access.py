"""The door of every page of one change request, and how an act on it answers: with the page as it stands then."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase
from django.views.decorators.http import require_POST

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.errors import AppError, Conflict, Forbidden, Invalid
from promptops.core.htmx import is_fragment, redirect, render, toast
from promptops.reviews.models import ChangeRequest
from promptops.reviews.selectors import get_change

P = ParamSpec("P")
View = Callable[Concatenate[ProjectRequest, ChangeRequest, P], HttpResponseBase]
Act = Callable[Concatenate[ProjectRequest, ChangeRequest, P], str]


def change_view(permission: Permission) -> Callable[[View[P]], Callable[..., HttpResponseBase]]:
    """Hand the view the change request that the URL's ``number`` names."""

    def decorate(view: View[P]) -> Callable[..., HttpResponseBase]:
        @project_view(permission)
        @functools.wraps(view)
        def with_change(request: ProjectRequest, number: int, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return view(request, change_of(request, number), *args, **kwargs)

        return with_change

    return decorate


def change_of(request: ProjectRequest, number: int) -> ChangeRequest:
    """Return a change request of the project, which it and its prompt know then. Raises NotFound."""
    change = get_change(request.project, number)
    change.project = change.prompt.project = request.project
    for version in (change.candidate, change.replaces):
        if version is not None:
            version.prompt = change.prompt
    return change


def change_action(
    permission: Permission,
) -> Callable[[Act[P]], Callable[..., HttpResponseBase]]:
    """A POST on a change request: the function does it and returns what to tell; a refusal is told at its form."""

    def decorate(act: Act[P]) -> Callable[..., HttpResponseBase]:
        @project_view(permission)
        def view(request: ProjectRequest, number: int, *args: Any, **kwargs: Any) -> HttpResponseBase:
            change = change_of(request, number)
            try:
                text = act(request, change, *args, **kwargs)
            except (Conflict, Invalid, Forbidden) as error:
                return refused(request, change, error)
            return acted(request, change, text)

        functools.update_wrapper(view, act, updated=())  # its name and what it says; not its attributes
        return require_POST(view)

    return decorate


def acted(request: ProjectRequest, change: ChangeRequest, text: str) -> HttpResponse:
    """The page as it stands now, with a short message."""
    from promptops.reviews.views.detail import review_context

    if is_fragment(request):
        context = review_context(request, change_of(request, change.number))
        response = render(request, "reviews/detail.html#review", context)
        return toast(response, text) if text else response
    if text:
        messages.success(request, text)
    return redirect(request, "reviews:detail", request.project.slug, change.number)


def refused(request: ProjectRequest, change: ChangeRequest, error: AppError) -> HttpResponse:
    """Say at the form what stands in the way; what was typed into it stays."""
    if is_fragment(request):
        named = error.errors if isinstance(error, Invalid) else {}
        texts = [text for texts in named.values() for text in texts] or [error.detail]
        response = render(request, "reviews/problem.html", {"texts": texts}, status=422)
        response["HX-Retarget"] = "find .form-problem"
        response["HX-Reswap"] = "innerHTML"
        return response
    messages.error(request, error.detail)
    return redirect(request, "reviews:detail", request.project.slug, change.number)
