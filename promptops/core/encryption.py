"""Encryption of secrets at rest: Fernet (AES-128-CBC with HMAC-SHA256) under a rotating set of keys.

The first key of ``ENCRYPTION_KEYS`` encrypts; all of them decrypt. Rotation is: put a new key first, restart,
run ``manage.py rotate_keys``, then drop the old key.
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from promptops.core.errors import Unavailable


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])


def encrypt(text: str) -> bytes:
    """Encrypt under the newest key."""
    return _keys().encrypt(text.encode())


def decrypt(token: bytes) -> str:
    """Decrypt with whichever key fits.

    Raises:
        Unavailable: none of the configured keys fits; the secret must be entered again, or the key restored.
    """
    try:
        return _keys().decrypt(bytes(token)).decode()
    except InvalidToken:
        raise Unavailable(
            "This secret was encrypted with a key that this installation no longer has. "
            "Restore the key in ENCRYPTION_KEY, or enter the secret again.",
            code="key_missing",
        ) from None


def rotate(token: bytes) -> bytes:
    """Encrypt again under the newest key."""
    return _keys().rotate(bytes(token))
