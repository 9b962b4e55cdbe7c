"""The door of REST: ``Authorization: Bearer po_…``. The token names the project; a browser's session opens nothing."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security import HttpBearer

from promptops.accounts import token_use
from promptops.accounts.actors import Actor, token_actor
from promptops.accounts.models import ApiToken, Project
from promptops.accounts.policies import Permission, require
from promptops.accounts.tokens import authenticate
from promptops.core.errors import Unauthenticated


class ApiRequest(HttpRequest):
    """A request of a live token."""

    actor: Actor
    project: Project
    auth: ApiToken
    secret_fields: tuple[str, ...]  # of the answer, not to be stored: see idempotency


class TokenBearer(HttpBearer):
    """Lets live tokens in. Every read needs the permission to read; what a write needs is up to its service."""

    def __init__(self, *, reads: Permission | None = Permission.READ) -> None:
        super().__init__()
        self.reads = reads

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        bearer = bearer_of(request, token)
        if self.reads is not None and request.method in ("GET", "HEAD"):
            require(request.actor, bearer.project, self.reads)  # type: ignore[attr-defined]
        return bearer


def bearer_of(request: HttpRequest, secret: str) -> ApiToken:
    """Return the token, and put actor and project on the request; once a request.

    Raises:
        Unauthenticated: the token is not live, its project is archived, or its creator left the project.
    """
    known: ApiToken | None = getattr(request, "_bearer", None)
    if known is not None:
        return known
    token = authenticate(secret.strip())
    if token.project.archived_at is not None:
        raise Unauthenticated(_("The project of this API token is archived."), code="project_archived")
    actor = token_actor(token)
    if actor.role_in(token.project) is None:
        raise Unauthenticated(
            _("The person who made this API token is no longer a member of its project."), code="token_orphaned"
        )
    request.actor, request.project = actor, token.project  # type: ignore[attr-defined]
    request._bearer = token  # type: ignore[attr-defined]
    token_use.note(token.pk)
    return token


def secret_of(request: HttpRequest) -> str | None:
    """Return what stands behind ``Bearer``, None without such a header."""
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" and secret.strip() else None
