"""Secrets that we hand out once and store as a digest."""

from __future__ import annotations

import hashlib
import secrets

TOKEN_MARK = "po_"  # noqa: S105 - the public beginning of every token, not a secret
PREFIX_LENGTH = 10


def new_secret(mark: str = "") -> str:
    """Return 256 bits of randomness as text, behind a mark that secret scanners can know."""
    return mark + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return the SHA-256 (hex). Plain, unsalted: the secret has 256 bits, so there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()
