"""How a receiver checks that a call is ours, ready to copy."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from promptops.notifications.models import Webhook

_PYTHON = '''import hashlib, hmac, time

def is_from_promptops(body: bytes, header: str, secret: str, tolerance: int = 300) -> bool:
    """body: the raw bytes; header: PromptOps-Signature."""
    parts = [part.partition("=") for part in header.split(",")]
    sent_at = next((value for name, _, value in parts if name == "t"), "0")
    expected = hmac.new(secret.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
    fits = any(hmac.compare_digest(value, expected) for name, _, value in parts if name == "v1")
    return fits and abs(time.time() - int(sent_at)) <= tolerance
'''

_NODE = """import { createHmac, timingSafeEqual } from "node:crypto";

// body: the raw bytes; header: PromptOps-Signature
export function isFromPromptOps(body, header, secret, toleranceSeconds = 300) {
  const parts = header.split(",").map((part) => part.split("="));
  const sentAt = parts.find(([name]) => name === "t")?.[1] ?? "0";
  const expected = createHmac("sha256", secret).update(`${sentAt}.`).update(body).digest();
  const fits = parts.some(([name, value]) => {
    const given = Buffer.from(value ?? "", "hex");
    return name === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
  return fits && Math.abs(Date.now() / 1000 - Number(sentAt)) <= toleranceSeconds;
}
"""


def verification(webhook: Webhook) -> list[dict[str, str]]:
    """Return the snippets, for ``components/use_in_code.html``: how to check, and the REST call of the log."""
    address = f"{settings.PUBLIC_URL}/api/v1/webhooks/{webhook.pk}/deliveries"
    log = f'curl -H "Authorization: Bearer $PROMPTOPS_TOKEN" \\\n  "{address}"'
    return [
        {"id": "python", "label": "Python", "text": _PYTHON},
        {"id": "node", "label": "Node.js", "text": _NODE},
        {"id": "log", "label": _("The log by REST"), "text": log},
    ]
