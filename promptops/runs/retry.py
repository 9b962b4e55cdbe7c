"""Whether a failed call is made again, and when. Pure.

A run that waits goes back to the queue with ``not_before``: its slot works on something else meanwhile, and the wait
survives the worker.
"""

from __future__ import annotations

import random

from promptops.engines import EngineError

MAX_ATTEMPTS = 4
BASE_SECONDS = 0.5
CEILING_SECONDS = 30.0
PATIENCE_SECONDS = 600.0
"""A provider that asks for a longer wait than this has refused."""


def delay_before_retry(
    error: EngineError, *, attempts: int, retry_safe: bool, random_source: random.Random | None = None
) -> float | None:
    """Return the seconds to wait before the next attempt, or None when the run has failed.

    Args:
        attempts: how many were made, the failed one included.
        retry_safe: False: the call may be repeated only where the provider cannot have begun with it.

    The back-off doubles, and is drawn from its upper half, so that runs which failed together do not return together
    ("equal jitter": https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). ``Retry-After`` is a
    floor.
    """
    if error.permanent or attempts >= MAX_ATTEMPTS:
        return None
    if not retry_safe and error.billed != "no":
        return None
    if error.retry_after is not None and error.retry_after > PATIENCE_SECONDS:
        return None
    draw = (random_source or _random).uniform
    backoff = min(CEILING_SECONDS, BASE_SECONDS * 2 ** (attempts - 1))
    if error.retry_after is not None:
        return error.retry_after + draw(0, backoff / 2)
    return draw(backoff / 2, backoff)


_random = random.Random()  # noqa: S311  (spreads load; nothing secret)
