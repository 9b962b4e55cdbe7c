"""Slowing down whoever guesses passwords: refused sign-ins are counted for an hour, by address and by account.

Counted in PostgreSQL, so that an emptied Valkey does not open the door. The account limit delays the real owner too;
a sign-in link always works.
"""

from __future__ import annotations

import datetime as dt
import ipaddress

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from promptops.accounts.models import SignInFailure
from promptops.core.errors import RateLimited

WINDOW = dt.timedelta(minutes=15)
KEEP = dt.timedelta(hours=1)
MAX_PER_ACCOUNT = 8
MAX_PER_ADDRESS = 40


def address_of(request: HttpRequest) -> str:
    """Return where a request came from: a network of IPv6 (/64, which one household or server has), or an IPv4 address.

    ``X-Forwarded-For`` counts only behind PROXY_HOPS proxies of ours: each appends the address that it saw, so the
    right one is that many from the end, and whatever stands before it was written by the caller.
    """
    address = str(request.META.get("REMOTE_ADDR", ""))
    if settings.PROXY_HOPS:
        forwarded = [one.strip() for one in request.headers.get("X-Forwarded-For", "").split(",") if one.strip()]
        if len(forwarded) >= settings.PROXY_HOPS:
            address = forwarded[-settings.PROXY_HOPS]
    try:
        known = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is None:
        return str(ipaddress.ip_network((known, 64), strict=False))
    return str(known)


def check(email: str, address: str) -> None:
    """Raise RateLimited when this account or this address was refused too often in the last 15 minutes."""
    since = timezone.now() - WINDOW
    for key, most in ((_key("account", email), MAX_PER_ACCOUNT), (_key("address", address), MAX_PER_ADDRESS)):
        if SignInFailure.objects.filter(key=key, at__gt=since).count() >= most:
            raise RateLimited(
                _("Too many refused sign-ins. Wait a quarter of an hour, or use a sign-in link from an admin.")
            )


def note_failure(email: str, address: str) -> None:
    """Count one refused sign-in."""
    SignInFailure.objects.bulk_create(
        [SignInFailure(key=_key("account", email)), SignInFailure(key=_key("address", address))]
    )


def prune() -> int:
    """Delete what no longer counts. Returns the number of rows."""
    deleted, _by_model = SignInFailure.objects.filter(at__lt=timezone.now() - KEEP).delete()
    return deleted


def _key(kind: str, value: str) -> str:
    return salted_hmac(f"promptops.sign-in.{kind}", value.strip().lower(), algorithm="sha256").hexdigest()
