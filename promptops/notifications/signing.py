"""The signature of a webhook's call: who has the secret can tell that we sent it, and when.

    PromptOps-Signature: t=1764000000,v1=5257a869e7…,v1=3c9d…

``v1`` is HMAC-SHA256 (hex) of ``<t>.<body>`` under the secret. During a rotation there is one for each secret that
counts; a receiver takes the call when any of them fits, and refuses one whose ``t`` is older than some minutes.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

HEADER = "PromptOps-Signature"


def signature(body: bytes, secrets: Sequence[str], timestamp: int) -> str:
    """Return the header's value; ``timestamp`` is in seconds since 1970 (UTC)."""
    signed = f"{timestamp}.".encode() + body
    parts = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    return ",".join([f"t={timestamp}", *parts])
