"""Which addresses this installation may call. Providers and webhooks both pass through here.

A host that a project admin enters could point at the cloud's metadata service, at a database, or back at us. So every
address that a name resolves to is checked on every connection (not when the URL is saved: DNS can change its mind), and
only public unicast addresses pass, unless the installation lists the host or its network in ``ALLOWED_PROVIDER_HOSTS``.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from promptops.core.errors import Invalid

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291, deprecated


class AddressRefused(Exception):
    """An address that this installation does not let anybody call."""


def check_address(host: str, ip: str, port: int) -> None:
    """Raise AddressRefused unless ``ip`` is public, or ``host``, ``host:port`` or its network is allowed."""
    address = _meant(ipaddress.ip_address(ip.split("%", 1)[0]))
    if _is_allowed(host.lower().rstrip("."), address, port):
        return
    if not address.is_global or address.is_multicast or getattr(address, "is_site_local", False):
        raise AddressRefused(
            f"{host} resolves to {address}, which is not a public address. "
            f"The operator of this installation can allow it in ALLOWED_PROVIDER_HOSTS."
        )


def _meant(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address leads to, by whichever way, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 0xFFFF):  # ::1 is itself
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_allowed(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
    for entry in settings.ALLOWED_PROVIDER_HOSTS:
        if "/" in entry:
            if address in ipaddress.ip_network(entry, strict=False):
                return True
        elif entry.lower() in (host, f"{host}:{port}", str(address), f"{address}:{port}"):
            return True
    return False


def check_url(url: str, *, field: str = "base_url", query: bool = False) -> str:
    """Return the URL without a trailing slash.

    Args:
        field: what the form calls it.
        query: whether it may have a query; then nothing is added to it when it is called, and it is returned as it is.

    Raises:
        Invalid: it is not a plain http(s) URL, carries credentials, or names a literal address that is refused.
            A name is resolved, and checked again, when it is called.
    """
    parts = urlsplit(url.strip())
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port < 0:
        raise _invalid(field, _("Enter a URL that begins with https:// or http:// and names a host."))
    if parts.username or parts.password or parts.fragment or (parts.query and not query):
        text = _("Enter the URL without user name, password, query or fragment.")
        raise _invalid(field, _("Enter the URL without user name, password or fragment.") if query else text)
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        pass
    else:
        try:
            check_address(parts.hostname, parts.hostname, port)
        except AddressRefused as refusal:
            raise _invalid(field, str(refusal)) from None
    return url.strip() if query else url.strip().rstrip("/")


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(message, errors={field: [message]}, code="refused_address")
