"""API tokens: making, revoking, and authenticating by one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import Actor
from promptops.accounts.models import ApiToken, Project, Role, Scope
from promptops.accounts.policies import Permission, require
from promptops.accounts.secrets import PREFIX_LENGTH, TOKEN_MARK, digest_of, new_secret
from promptops.audit import services as audit
from promptops.core.errors import Invalid, Unauthenticated

SCOPES_OF_ROLE: dict[Role, list[Scope]] = {
    Role.VIEWER: [Scope.READ],
    Role.EDITOR: [Scope.READ, Scope.RUN, Scope.WRITE],
    Role.REVIEWER: [Scope.READ, Scope.RUN, Scope.WRITE],
    Role.ADMIN: [Scope.READ, Scope.RUN, Scope.WRITE, Scope.ADMIN],
}


@transaction.atomic
def create_token(
    actor: Actor,
    project: Project,
    *,
    name: str,
    role: str,
    scopes: Sequence[str] | None = None,
    expires_at: dt.datetime | None = None,
) -> tuple[ApiToken, str]:
    """Return a new token and its secret, which is shown once and never again.

    Args:
        scopes: any of read, run, write, admin; None means all that the role allows.

    Raises:
        Invalid: a role above the actor's own, an unknown scope, an expiry in the past.
    """
    require(actor, project, Permission.ADMIN)
    errors: dict[str, list[str]] = {}
    if not name.strip():
        errors["name"] = [_("Enter a name that says which service uses the token.")]
    own = actor.role_in(project)
    if role not in [one.value for one in SCOPES_OF_ROLE] or own is None or not own.includes(Role(role)):
        errors["role"] = [_("Choose one of the roles viewer, editor, reviewer, admin.")]
    # A token cannot hand out what it does not have itself.
    allowed = [scope for scope in SCOPES_OF_ROLE[Role(role)] if actor.has_scope(scope)] if "role" not in errors else []
    wanted = list(allowed) if scopes is None else list(dict.fromkeys(scopes))
    if "role" not in errors and (not wanted or any(scope not in allowed for scope in wanted)):
        errors["scopes"] = [_("This role can have the scopes: %s.") % ", ".join(allowed)]
    if expires_at is not None and expires_at <= timezone.now():
        errors["expires_at"] = [_("Choose a time in the future.")]
    if errors:
        raise Invalid(_("The token was not made."), errors=errors)
    secret = new_secret(TOKEN_MARK)
    token = ApiToken.objects.create(
        project=project,
        name=name.strip()[:120],
        created_by=actor.user,
        role=role,
        scopes=[str(scope) for scope in wanted],
        prefix=secret[:PREFIX_LENGTH],
        digest=digest_of(secret),
        expires_at=expires_at,
    )
    audit.record(
        actor,
        "token.created",
        project_id=project.pk,
        target_kind="token",
        target_id=token.pk,
        detail={"role": token.role, "scopes": token.scopes},
    )
    return token, secret


@transaction.atomic
def revoke_token(actor: Actor, token: ApiToken) -> ApiToken:
    """End a token; every process refuses it within a second. Doing it twice is no error."""
    require(actor, token.project, Permission.ADMIN)
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(actor, "token.revoked", project_id=token.project_id, target_kind="token", target_id=token.pk)
    token.refresh_from_db()
    return token


def authenticate(secret: str) -> ApiToken:
    """Return the live token with that secret.

    Raises:
        Unauthenticated: unknown, revoked or expired (each says so: whoever holds the secret may know).
    """
    token = (
        ApiToken.objects.select_related("project", "created_by").filter(digest=digest_of(secret)).first()
        if secret.startswith(TOKEN_MARK)
        else None
    )
    if token is None:
        raise Unauthenticated(_("This API token is not known. Check that it was copied whole."))
    if token.revoked_at is not None:
        raise Unauthenticated(_("This API token was revoked."), code="token_revoked")
    if not token.is_live:
        raise Unauthenticated(_("This API token has expired."), code="token_expired")
    return token
