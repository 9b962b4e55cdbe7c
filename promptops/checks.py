"""Refuses a bad configuration when a process starts, instead of running unsafely.

The ids are stable: documentation and monitoring may refer to them.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured

SHORTEST_SECRET_KEY = 50  # characters; Django's own recommendation (security.W009)
FEWEST_DIFFERENT_CHARACTERS = 5


@register(Tags.security)
def check_configuration(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What `manage.py check` reports and what `refuse_bad_configuration` stops at."""
    messages: list[CheckMessage] = [*_encryption_keys()]
    if settings.PRODUCTION:
        messages += [*_secret_key(), *_debug(), *_public_url()]
    return messages


def refuse_bad_configuration() -> None:
    """For processes that no management command starts (web server, Celery): raises ImproperlyConfigured."""
    errors = [message for message in check_configuration(None) if message.level >= Error("").level]
    if errors:
        raise ImproperlyConfigured(" ".join(f"({error.id}) {error.msg} {error.hint or ''}".strip() for error in errors))


def _secret_key() -> list[CheckMessage]:
    try:
        key = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's own refusal of an empty key, without the way to make one
        return [Error("SECRET_KEY is not set.", hint=_HOW_SECRET, id="promptops.E001")]
    if (
        len(key) < SHORTEST_SECRET_KEY
        or len(set(key)) < FEWEST_DIFFERENT_CHARACTERS
        or key.startswith("django-insecure-")
    ):
        return [Error("SECRET_KEY is too weak.", hint=_HOW_SECRET, id="promptops.E002")]
    return []


def _encryption_keys() -> list[CheckMessage]:
    if not settings.ENCRYPTION_KEYS:
        return [Error("ENCRYPTION_KEY is not set.", hint=_HOW_ENCRYPTION, id="promptops.E003")]
    return [
        Error(f"ENCRYPTION_KEY number {number} is not a strong Fernet key.", hint=_HOW_ENCRYPTION, id="promptops.E004")
        for number, key in enumerate(settings.ENCRYPTION_KEYS, 1)
        if not _is_fernet_key(key)
    ]


def _is_fernet_key(key: str) -> bool:
    try:
        content = base64.b64decode(key.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(content) == 32 and len(set(content)) > FEWEST_DIFFERENT_CHARACTERS


def _debug() -> list[CheckMessage]:
    if not settings.DEBUG:
        return []
    hint = "Unset DEBUG. To develop, unset DATABASE_URL: the embedded database is meant for it."
    return [Error("DEBUG is on in production (DATABASE_URL is set).", hint=hint, id="promptops.E005")]


def _public_url() -> list[CheckMessage]:
    url = urlsplit(settings.PUBLIC_URL)
    if url.scheme == "https" or url.hostname in ("localhost", "127.0.0.1", "::1"):
        return []
    hint = "Put a proxy with TLS in front, and set PUBLIC_URL=https://… and BEHIND_TLS_PROXY=1."
    return [
        CheckMessage(WARNING, "PUBLIC_URL is plain HTTP: tokens travel unencrypted.", hint=hint, id="promptops.W001")
    ]


_HOW_SECRET = "Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"  # noqa: S105
_HOW_ENCRYPTION = (
    "Make one: python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())' "
    "(to rotate, put the new key before the old one, separated by a comma)."
)
