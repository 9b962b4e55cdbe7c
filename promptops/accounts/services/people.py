"""People: making them, proving that it is them, what they choose for themselves."""

from __future__ import annotations

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from promptops.accounts import throttle
from promptops.accounts.actors import SYSTEM, user_actor
from promptops.accounts.models import User
from promptops.audit import services as audit
from promptops.core.errors import Invalid

EMAIL_TAKEN = gettext_lazy("Somebody has an account with this e-mail address.")


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
        errors["email"] = [str(EMAIL_TAKEN)]
    user = User(email=email, name=name.strip()[:120], is_installation_admin=not User.objects.exists())
    if password is not None:
        errors.update(password_errors(password, user))
    if errors:
        raise Invalid(_("The account was not created."), errors=errors)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:  # the same form, sent twice at once
        raise Invalid(_("The account was not created."), errors={"email": [str(EMAIL_TAKEN)]}) from None
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


def check_password(user: User, password: str, *, address: str) -> None:
    """Raise Invalid where that is not the person's password; guesses count as refused sign-ins do."""
    throttle.check(user.email, address)
    if not user.check_password(password):
        throttle.note_failure(user.email, address)
        message = _("This is not your present password.")
        raise Invalid(message, errors={"current": [message]})


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


@transaction.atomic
def end_sessions(user: User) -> None:
    """End every session of a person; the caller keeps its own by ``update_session_auth_hash``."""
    user.session_epoch += 1
    user.save(update_fields=["session_epoch"])
    audit.record(user_actor(user), "user.sessions_ended", project_id=None, target_kind="user", target_id=user.pk)
