"""How long to wait before the next attempt."""

from __future__ import annotations

import datetime as dt
import random

FIRST_SECONDS = 10.0
FACTOR = 3.0
LONGEST_SECONDS = 4 * 3600.0


def wait_after(tries: int) -> dt.timedelta:
    """Return the wait after so many attempts in vain: 10 s, 30 s, 90 s … 4 h, each shortened by up to half at random.

    The randomness keeps those that failed together from coming back together.
    """
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * FACTOR ** min(tries - 1, 20))
    return dt.timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311  (not a secret)
