"""The door of every page of one prompt: the project's door, then the prompt, under its present slug."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from django.http import HttpResponseBase

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.core.htmx import redirect_renamed
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
                return redirect_renamed(request, slug=moved.slug)
            prompt.project = request.project
            return view(request, prompt, *args, **kwargs)

        return with_prompt

    return decorate
