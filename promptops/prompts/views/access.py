"""The door of every page of one prompt: the project's door, then the prompt, under its present slug."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.htmx import is_fragment
from promptops.prompts.models import Prompt
from promptops.prompts.selectors import Moved, get_prompt

P = ParamSpec("P")


def prompt_view(
    permission: Permission,
) -> Callable[[Callable[Concatenate[ProjectRequest, Prompt, P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Hand the view the prompt that the URL's ``slug`` names; a former slug redirects to the same page of today's."""

    def decorate(
        view: Callable[Concatenate[ProjectRequest, Prompt, P], HttpResponseBase],
    ) -> Callable[..., HttpResponseBase]:
        @project_view(permission)
        @functools.wraps(view)
        def with_prompt(request: ProjectRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                prompt = get_prompt(request.project, slug)
            except Moved as moved:
                return _to_present_slug(request, moved.slug)
            prompt.project = request.project
            return view(request, prompt, *args, **kwargs)

        return with_prompt

    return decorate


def _to_present_slug(request: HttpRequest, slug: str) -> HttpResponse:
    """Redirect, keeping the page, the query and the method. Not for ever: the prompt may take its old slug back."""
    match = request.resolver_match
    assert match is not None  # noqa: S101 (a view runs because its URL matched)
    url = reverse(match.view_name, kwargs={**match.kwargs, "slug": slug})
    if request.META.get("QUERY_STRING"):
        url = f"{url}?{request.META['QUERY_STRING']}"
    if is_fragment(request) and request.method == "GET":
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, preserve_request=True)
