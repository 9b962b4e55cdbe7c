"""What a call cost. Pure: tokens and prices in, USD out, in decimal arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)
SMALLEST = Decimal("1e-10")  # the scale of the columns


@dataclass(frozen=True)
class Prices:
    """USD for a million tokens; None where nobody said. Copied onto the attempt: prices change, bills do not.

    ``limit`` is the number of input tokens up to which they hold; longer ones are dearer by what is not known here.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Tokens:
    """What was used. Cached and cache-write tokens are parts of the input; reasoning is part of the output."""

    input: int
    output: int
    cached_input: int = 0
    cache_write: int = 0


def cost_of(tokens: Tokens | None, prices: Prices) -> Decimal | None:
    """Return the cost in USD, or None while it is unknown: no usage, or no price for a kind of token that was used.

    Reasoning tokens are billed as output by every provider that has them, so they need no term of their own.
    """
    if tokens is None or (prices.limit is not None and tokens.input > prices.limit):
        return None
    plain = max(0, tokens.input - tokens.cached_input - tokens.cache_write)
    total = Decimal(0)
    for count, price in (
        (plain, prices.input),
        (tokens.cached_input, prices.cached_input),
        (tokens.cache_write, prices.cache_write),
        (tokens.output, prices.output),
    ):
        if count == 0:
            continue
        if price is None:
            return None
        total += count * price / MILLION
    if prices.input is None and prices.output is None:
        return None  # nothing was used, but nothing is known either
    return total.quantize(SMALLEST)
