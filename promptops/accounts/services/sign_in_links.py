"""One-time links ``/link/<secret>/``: for whoever has no password, or lost it."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.accounts.actors import SYSTEM, Actor, user_actor
from promptops.accounts.models import Membership, SignInLink, User
from promptops.accounts.policies import Permission, people_in_care_of, require
from promptops.accounts.secrets import digest_of, new_secret
from promptops.audit import services as audit
from promptops.core.errors import Forbidden, NotFound

SIGN_IN_LINK_LIFE = dt.timedelta(hours=1)


@transaction.atomic
def create_sign_in_link(user: User, *, life: dt.timedelta = SIGN_IN_LINK_LIFE, actor: Actor = SYSTEM) -> str:
    """Return the secret of a link ``/link/<secret>/`` that signs this person in once.

    Checks no policy: for the command line. What a member asks for is ``create_member_sign_in_link``.
    """
    secret = new_secret()
    SignInLink.objects.create(user=user, digest=digest_of(secret), expires_at=timezone.now() + life)
    audit.record(actor, "user.link_created", project_id=None, target_kind="user", target_id=user.pk)
    return secret


@transaction.atomic
def create_member_sign_in_link(actor: Actor, membership: Membership) -> str:
    """Return the secret of a link for a member who lost the password.

    Raises:
        Forbidden: the person reaches more than the actor administers (see ``policies.people_in_care_of``).
    """
    require(actor, membership.project, Permission.ADMIN)
    if not people_in_care_of(actor).filter(pk=membership.user_id).exists():
        raise Forbidden(
            _(
                "A sign-in link opens everything that this person reaches, and you do not administer all of it. "
                "Ask whoever runs this installation for a link (manage.py sign_in_link)."
            )
        )
    secret = create_sign_in_link(membership.user, actor=actor)
    audit.record(
        actor,
        "member.link_created",
        project_id=membership.project_id,
        target_kind="user",
        target_id=membership.user_id,
    )
    return secret


def find_sign_in_link(secret: str) -> SignInLink:
    """Return a live link. Raises NotFound when it is unknown, used or too old: the three look alike."""
    live = SignInLink.objects.select_related("user").filter(
        digest=digest_of(secret), used_at=None, expires_at__gt=timezone.now(), user__is_active=True
    )
    link = live.first()
    if link is None:
        raise NotFound(_("This sign-in link is not valid: it was used, or it has expired. Ask for a new one."))
    return link


@transaction.atomic
def redeem_sign_in_link(secret: str) -> User:
    """Use a link up. Raises NotFound when it is unknown, used or too old."""
    link = find_sign_in_link(secret)
    if not SignInLink.objects.filter(pk=link.pk, used_at=None).update(used_at=timezone.now()):
        raise NotFound(_("This sign-in link has just been used. Ask for a new one."))
    user = link.user
    audit.record(user_actor(user), "user.signed_in_by_link", project_id=None, target_kind="user", target_id=user.pk)
    return user
