"""Time-ordered identifiers (UUIDv7, RFC 9562 section 5.7) and the bounds that a time gives them."""

from __future__ import annotations

import datetime as dt
import uuid

from uuid_utils.compat import uuid7

__all__ = ["first_uuid7_at", "time_of", "uuid7"]


def first_uuid7_at(moment: dt.datetime) -> uuid.UUID:
    """Return the smallest UUIDv7 of that millisecond: a range on ids is a range in time."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x2 << 62))


def time_of(identifier: uuid.UUID) -> dt.datetime:
    """Return the moment (UTC, to the millisecond) at which a UUIDv7 was made."""
    return dt.datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=dt.UTC)
