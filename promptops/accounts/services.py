"""Writes on people, projects and membership. Each checks the policy, mutates, audits, in one transaction."""

from __future__ import annotations

import datetime as dt
import re

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.text import slugify
from django.utils.translation import gettext as _

from promptops.accounts import throttle
from promptops.accounts.actors import SYSTEM, Actor, user_actor
from promptops.accounts.models import Invitation, Membership, Project, Role, SignInLink, User
from promptops.accounts.policies import Permission, grantable_roles, require
from promptops.accounts.secrets import digest_of, new_secret
from promptops.audit import services as audit
from promptops.core.errors import Conflict, Forbidden, Invalid, NotFound

SIGN_IN_LINK_LIFE = dt.timedelta(hours=1)
INVITATION_LIFE = dt.timedelta(days=7)
SLUG = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?$")
RESERVED_SLUGS = {"new"}


@transaction.atomic
def create_user(*, email: str, name: str, password: str | None = None) -> User:
    """Create a person. Without a password the only way in is a sign-in link. The first one runs the installation.

    Raises:
        Invalid: the e-mail is not one, is taken, or the password is too weak (``errors`` by field).
    """
    errors: dict[str, list[str]] = {}
    email = email.strip()
    try:
        validate_email(email)
    except ValidationError:
        errors["email"] = [_("Enter an e-mail address.")]
    if not name.strip():
        errors["name"] = [_("Enter a name.")]
    if User.objects.filter(email__iexact=email).exists():
        errors["email"] = [_("Somebody has signed up with this e-mail address.")]
    user = User(email=email, name=name.strip()[:120], is_installation_admin=not User.objects.exists())
    if password is not None:
        errors.update(password_errors(password, user))
    if errors:
        raise Invalid(_("The account was not created."), errors=errors)
    user.set_password(password)
    user.save()
    audit.record(SYSTEM, "user.created", project_id=None, target_kind="user", target_id=user.pk)
    return user


def password_errors(password: str, user: User) -> dict[str, list[str]]:
    """Return what is wrong with a new password, under its field name."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        return {"password": list(error.messages)}
    return {}


def sign_in_by_password(*, email: str, password: str, address: str) -> User:
    """Return the person whose e-mail and password these are.

    Args:
        address: where the request came from (``throttle.address_of``): guesses are counted by it, too.

    Raises:
        Invalid: not known, wrong, or deactivated; the three look alike.
        RateLimited: too many refusals for this account or this address.
    """
    throttle.check(email, address)
    user = authenticate(username=email.strip(), password=password)
    if not isinstance(user, User):
        throttle.note_failure(email, address)
        raise Invalid(_("This e-mail address and password do not belong together. Check both and try again."))
    with transaction.atomic():
        audit.record(user_actor(user), "user.signed_in", project_id=None, target_kind="user", target_id=user.pk)
    return user


@transaction.atomic
def change_profile(user: User, *, name: str, language: str, theme: str) -> User:
    """Change what a person sees and is called."""
    if not name.strip():
        raise Invalid(_("Enter a name."), errors={"name": [_("Enter a name.")]})
    user.name, user.language, user.theme = name.strip()[:120], language, User.Theme(theme)
    user.save(update_fields=["name", "language", "theme"])
    return user


@transaction.atomic
def change_password(user: User, *, password: str) -> None:
    """Set a new password; all other sessions end (their hash no longer fits)."""
    errors = password_errors(password, user)
    if errors:
        raise Invalid(_("The password was not changed."), errors=errors)
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record(user_actor(user), "user.password_changed", project_id=None, target_kind="user", target_id=user.pk)


def check_password(user: User, password: str, *, address: str) -> None:
    """Raise Invalid where that is not the person's password; guesses count as refused sign-ins do."""
    throttle.check(user.email, address)
    if not user.check_password(password):
        throttle.note_failure(user.email, address)
        message = _("This is not your present password.")
        raise Invalid(message, errors={"current": [message]})


@transaction.atomic
def end_sessions(user: User) -> None:
    """End every session of a person; the caller keeps its own by ``update_session_auth_hash``."""
    user.session_epoch += 1
    user.save(update_fields=["session_epoch"])
    audit.record(user_actor(user), "user.sessions_ended", project_id=None, target_kind="user", target_id=user.pk)


@transaction.atomic
def create_sign_in_link(user: User, *, life: dt.timedelta = SIGN_IN_LINK_LIFE) -> str:
    """Return the secret of a link ``/link/<secret>/`` that signs this person in once."""
    secret = new_secret()
    SignInLink.objects.create(user=user, digest=digest_of(secret), expires_at=timezone.now() + life)
    audit.record(SYSTEM, "user.sign_in_link_created", project_id=None, target_kind="user", target_id=user.pk)
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


@transaction.atomic
def create_project(actor: Actor, *, name: str, slug: str = "", description: str = "") -> Project:
    """Create a project; the person who does becomes its owner. A token cannot.

    The apps above add what every project begins with (``settings.NEW_PROJECT_STEPS``), such as the embedded model.

    Raises:
        Invalid: no name, or the slug is malformed or taken.
    """
    if actor.kind == "token":
        raise Forbidden(_("A token belongs to one project and cannot make others."))
    slug = slug.strip() or slugify(name)[:60].strip("-") or "project"
    errors: dict[str, list[str]] = {}
    if not name.strip():
        errors["name"] = [_("Enter a name.")]
    errors.update(_slug_errors(slug))
    if errors:
        raise Invalid(_("The project was not created."), errors=errors)
    project = Project.objects.create(name=name.strip()[:120], slug=slug, description=description)
    if actor.user is not None:
        Membership.objects.create(project=project, user=actor.user, role=Role.OWNER)
    audit.record(actor, "project.created", project_id=project.pk, target_kind="project", target_id=project.pk)
    for step in settings.NEW_PROJECT_STEPS:
        import_string(step)(project)
    return project


@transaction.atomic
def update_project(actor: Actor, project: Project, *, name: str, slug: str, description: str) -> Project:
    """Rename a project. Its links change with the slug."""
    require(actor, project, Permission.ADMIN)
    errors: dict[str, list[str]] = {} if name.strip() else {"name": [_("Enter a name.")]}
    if slug != project.slug:
        errors.update(_slug_errors(slug))
    if errors:
        raise Invalid(_("The project was not changed."), errors=errors)
    project.name, project.slug, project.description = name.strip()[:120], slug, description
    project.save(update_fields=["name", "slug", "description"])
    audit.record(actor, "project.updated", project_id=project.pk, target_kind="project", target_id=project.pk)
    return project


def _slug_errors(slug: str) -> dict[str, list[str]]:
    if not SLUG.match(slug) or slug in RESERVED_SLUGS:
        return {"slug": [_("Use lower-case letters, digits and hyphens, at most 60, such as “support-bot”.")]}
    if Project.objects.filter(slug=slug).exists():
        return {"slug": [_("Another project has this slug. Choose a different one.")]}
    return {}


@transaction.atomic
def create_invitation(actor: Actor, project: Project, *, role: str, note: str = "") -> tuple[Invitation, str]:
    """Return an invitation and the secret of its link ``/invitations/<secret>/``. Works once, for seven days."""
    require(actor, project, Permission.ADMIN)
    granted = _grantable(actor, project, role)
    secret = new_secret()
    invitation = Invitation.objects.create(
        project=project,
        role=granted,
        note=note.strip()[:120],
        digest=digest_of(secret),
        created_by=actor.user,
        expires_at=timezone.now() + INVITATION_LIFE,
    )
    detail = {"role": granted.value}
    audit.record(
        actor,
        "invitation.created",
        project_id=project.pk,
        target_kind="invitation",
        target_id=invitation.pk,
        detail=detail,
    )
    return invitation, secret


def find_invitation(secret: str) -> Invitation:
    """Return a live invitation. Raises NotFound when it is unknown, used, revoked or too old."""
    invitation = (
        Invitation.objects.select_related("project", "created_by")
        .filter(digest=digest_of(secret), accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())
        .first()
    )
    if invitation is None:
        raise NotFound(_("This invitation is not valid: it was used, revoked, or has expired. Ask for a new one."))
    return invitation


@transaction.atomic
def accept_invitation(secret: str, user: User) -> Membership:
    """Make the person a member. Whoever is one already keeps the higher of both roles."""
    invitation = find_invitation(secret)
    taken = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(
        accepted_by=user, accepted_at=timezone.now()
    )
    if not taken:
        raise NotFound(_("This invitation has just been used."))
    role = Role(invitation.role)
    membership, created = Membership.objects.get_or_create(
        project=invitation.project, user=user, defaults={"role": role}
    )
    if not created and not Role(membership.role).includes(role):
        membership.role = role
        membership.save(update_fields=["role"])
    audit.record(
        user_actor(user),
        "member.joined",
        project_id=invitation.project_id,
        target_kind="user",
        target_id=user.pk,
        detail={"role": membership.role, "invitation": invitation.pk},
    )
    return membership


@transaction.atomic
def revoke_invitation(actor: Actor, invitation: Invitation) -> None:
    require(actor, invitation.project, Permission.ADMIN)
    Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(revoked_at=timezone.now())
    audit.record(
        actor,
        "invitation.revoked",
        project_id=invitation.project_id,
        target_kind="invitation",
        target_id=invitation.pk,
    )


@transaction.atomic
def add_member(actor: Actor, project: Project, user: User, *, role: str) -> Membership:
    """Make an existing person a member at once (commands and tests; people use invitations)."""
    require(actor, project, Permission.ADMIN)
    granted = Role.OWNER if actor is SYSTEM and role == Role.OWNER else _grantable(actor, project, role)
    try:
        with transaction.atomic():
            membership = Membership.objects.create(project=project, user=user, role=granted)
    except IntegrityError:
        raise Conflict(_("This person is a member, or the project has an owner."), code="already_member") from None
    _audit_member(actor, "member.added", membership)
    return membership


@transaction.atomic
def change_role(actor: Actor, membership: Membership, *, role: str) -> Membership:
    """Give a member another role. The owner's role stays; nobody changes their own."""
    require(actor, membership.project, Permission.ADMIN)
    _refuse_on_owner_or_self(actor, membership)
    membership.role = _grantable(actor, membership.project, role)
    membership.save(update_fields=["role"])
    _audit_member(actor, "member.role_changed", membership)
    return membership


@transaction.atomic
def remove_member(actor: Actor, membership: Membership) -> None:
    """End a membership; the person's tokens in the project stop working with it."""
    require(actor, membership.project, Permission.ADMIN)
    _refuse_on_owner_or_self(actor, membership)
    _audit_member(actor, "member.removed", membership)
    membership.delete()


def _refuse_on_owner_or_self(actor: Actor, membership: Membership) -> None:
    if membership.role == Role.OWNER:
        raise Forbidden(_("The owner's membership cannot be changed; ownership has to be handed over first."))
    if actor.user_id == membership.user_id:
        raise Forbidden(_("You cannot change your own role. Ask another admin."))


def _grantable(actor: Actor, project: Project, role: str) -> Role:
    if role not in grantable_roles(actor, project):
        message = _("Choose one of the roles viewer, editor, reviewer, admin.")
        raise Invalid(message, errors={"role": [message]})
    return Role(role)


def _audit_member(actor: Actor, action: str, membership: Membership) -> None:
    audit.record(
        actor,
        action,
        project_id=membership.project_id,
        target_kind="user",
        target_id=membership.user_id,
        detail={"role": membership.role},
    )
