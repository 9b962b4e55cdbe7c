"""The door of every page of one change request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from django.http import HttpResponseBase

from promptops.accounts.access import ProjectRequest, project_view
from promptops.accounts.policies import Permission
from promptops.reviews.models import ChangeRequest
from promptops.reviews.selectors import get_change

P = ParamSpec("P")
View = Callable[Concatenate[ProjectRequest, ChangeRequest, P], HttpResponseBase]


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
