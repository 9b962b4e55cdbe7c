"""The door of every HTML view of a project: signed in, member, permitted.

    @project_view(Permission.WRITE)
    def edit(request: ProjectRequest, slug: str) -> HttpResponse:
        request.project, request.actor, request.member

The URL names the project first (``/p/<project_slug>/…``); the decorator takes it off the view's arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor, user_actor
from promptops.accounts.models import Project, ProjectSlug, User
from promptops.accounts.policies import Permission, require
from promptops.core.errors import NotFound
from promptops.core.htmx import redirect_renamed

P = ParamSpec("P")
LAST_PROJECT = "last_project"


class UserRequest(HttpRequest):
    """A request of a signed-in person."""

    user: User
    actor: Actor


class ProjectRequest(UserRequest):
    """A request that passed the door of a project."""

    project: Project


def user_view(
    view: Callable[Concatenate[UserRequest, P], HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Let signed-in people in; send the others to sign in and back."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        request.actor = user_actor(request.user)  # type: ignore[attr-defined]
        return view(request, *args, **kwargs)  # type: ignore[arg-type]

    guarded.permission = None  # type: ignore[attr-defined]
    return guarded


def project_view(
    permission: Permission,
) -> Callable[[Callable[Concatenate[ProjectRequest, P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Let members with that permission in: 404 for outsiders, 403 for too small a role."""

    def decorate(view: Callable[Concatenate[ProjectRequest, P], HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @functools.wraps(view)
        def guarded(request: HttpRequest, project_slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_sign_in(request)
            project = Project.objects.filter(slug=project_slug, archived_at=None).first()
            actor = user_actor(request.user)
            if project is None:
                return _to_present_slug(request, actor, project_slug)
            require(actor, project, permission)
            request.actor, request.project = actor, project  # type: ignore[attr-defined]
            if request.session.get(LAST_PROJECT) != project.pk:
                request.session[LAST_PROJECT] = project.pk  # where "/" leads the next time
            return view(request, *args, **kwargs)  # type: ignore[arg-type]

        guarded.permission = permission  # type: ignore[attr-defined]
        return guarded

    return decorate


def _to_present_slug(request: HttpRequest, actor: Actor, former: str) -> HttpResponse:
    """Lead a member to the same page under the project's present slug. Not for ever: it may take the old one back.

    Raises:
        NotFound: no project of the person's had that slug.
    """
    known = ProjectSlug.objects.filter(slug=former, project__archived_at=None).select_related("project").first()
    if known is None or actor.role_in(known.project) is None:
        raise NotFound(_("There is nothing here, or you are not a member of its project."))
    return redirect_renamed(request, project_slug=known.project.slug)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """Redirect; an htmx request is told to load the whole sign-in page, so that no form lands inside a fragment."""
    sign_in = reverse("accounts:sign-in")
    if request.headers.get("HX-Request") == "true":
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
        answer = HttpResponse(status=401)
        answer["HX-Redirect"] = redirect_to_login(urlunsplit(("", "", page.path, page.query, "")) or "/", sign_in).url
        return answer
    redirect: HttpResponseRedirect = redirect_to_login(request.get_full_path(), sign_in)
    return redirect
