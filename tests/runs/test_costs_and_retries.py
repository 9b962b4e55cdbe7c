"""The two small decisions that cost money: what a call cost, and whether it is made again."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from promptops.engines import EngineError, ErrorKind
from promptops.engines.types import Billed
from promptops.runs.costs import Prices, Tokens, cost_of
from promptops.runs.retry import MAX_ATTEMPTS, PATIENCE_SECONDS, delay_before_retry

PRICES = Prices(input=Decimal("2.5"), output=Decimal(10), cached_input=Decimal("1.25"), cache_write=Decimal("3.125"))


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        (Tokens(1_000_000, 0), "2.5"),
        (Tokens(0, 1), "0.00001"),
        (Tokens(1000, 100), "0.0035"),
        (Tokens(1000, 100, cached_input=400), "0.0030"),  # cached tokens are part of the input
        (Tokens(1000, 0, cached_input=400, cache_write=600), "0.002375"),
        (Tokens(3, 0), "0.0000075"),
        (Tokens(0, 0), "0"),
    ],
)
def test_a_cost_is_exact(tokens: Tokens, cost: str) -> None:
    assert cost_of(tokens, PRICES) == Decimal(cost)


def test_a_cost_is_unknown_rather_than_wrong() -> None:
    assert cost_of(None, PRICES) is None
    assert cost_of(Tokens(1, 1), Prices()) is None
    assert cost_of(Tokens(0, 0), Prices()) is None
    assert cost_of(Tokens(10, 1, cached_input=5), Prices(Decimal(1), Decimal(1))) is None
    assert cost_of(Tokens(1001, 1), Prices(Decimal(1), Decimal(1), limit=1000)) is None
    assert cost_of(Tokens(1000, 1), Prices(Decimal(1), Decimal(1), limit=1000)) == Decimal("0.001001")
    assert cost_of(Tokens(5, 5), Prices(Decimal(0), Decimal(0))) == 0  # free is not unknown


def delay(
    kind: ErrorKind, attempts: int = 1, *, safe: bool = True, billed: Billed = "no", after: float | None = None
) -> float | None:
    error = EngineError(kind, "It failed.", billed=billed, retry_after=after)
    return delay_before_retry(error, attempts=attempts, retry_safe=safe, random_source=random.Random(1))


def test_the_wait_doubles_and_is_spread() -> None:
    for attempts, longest in ((1, 0.5), (2, 1.0), (3, 2.0)):
        assert longest / 2 <= (delay(ErrorKind.OVERLOADED, attempts) or 0) <= longest
    assert delay(ErrorKind.OVERLOADED, MAX_ATTEMPTS) is None
    error = EngineError(ErrorKind.TIMEOUT, "It failed.")
    draws = {delay_before_retry(error, attempts=1, retry_safe=True) for _ in range(20)}
    assert len(draws) == 20


def test_the_provider_says_how_long_at_least() -> None:
    assert 7 <= (delay(ErrorKind.RATE_LIMITED, after=7) or 0) <= 7.25
    assert delay(ErrorKind.RATE_LIMITED, after=PATIENCE_SECONDS + 1) is None


def test_what_will_fail_again_is_not_repeated() -> None:
    for kind in (ErrorKind.AUTHENTICATION, ErrorKind.CONTEXT_LENGTH, ErrorKind.CONTENT_FILTER, ErrorKind.UNAVAILABLE):
        assert delay(kind) is None


def test_what_may_not_be_called_twice_is_repeated_only_where_it_was_not_called_once() -> None:
    assert delay(ErrorKind.CONNECTION, safe=False) is not None
    assert delay(ErrorKind.TIMEOUT, safe=False, billed="maybe") is None
    assert delay(ErrorKind.TRUNCATED_STREAM, safe=False, billed="yes") is None
    assert delay(ErrorKind.TIMEOUT, billed="maybe") is not None
