"""What models cost, from the price list that the package ``genai-prices`` carries. Nothing is ever fetched.

Prices are USD a million tokens. They are copied onto the endpoint when it is made (and when somebody asks for the
present ones), so that an upgrade of the list changes no number that people have seen.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from django.utils import timezone
from django.utils.translation import gettext as _

from promptops.catalog.models import Provider

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

MILLION = Decimal(1_000_000)
MAX_PRICE = Decimal(1_000_000)
PLACES = Decimal("0.0000000001")
MANUAL = "manual"
LOCAL = "local"
PACKAGE = "genai-prices"
FIELDS = ("input_price", "output_price", "cached_input_price", "cache_write_price")


class Priced(Protocol):
    """Whatever carries prices: an endpoint, or a ``Price``."""

    @property
    def input_price(self) -> Decimal | None: ...
    @property
    def output_price(self) -> Decimal | None: ...
    @property
    def price_limit(self) -> int | None: ...


@dataclass(frozen=True)
class Price:
    """Prices of one model; None is unknown. ``source`` is ``genai-prices <version>``, ``manual``, ``local`` or empty.

    ``price_limit``: input tokens up to which they hold, where the provider charges more for longer prompts.
    """

    input_price: Decimal | None = None
    output_price: Decimal | None = None
    cached_input_price: Decimal | None = None
    cache_write_price: Decimal | None = None
    source: str = ""
    price_limit: int | None = None
    context_window: int | None = None


UNKNOWN = Price()
FREE = Price(Decimal(0), Decimal(0), Decimal(0), Decimal(0), source=LOCAL)


def look_up(provider: str, model_name: str, base_url: str = "", *, at: dt.datetime | None = None) -> Price:
    """Return the listed price of a model, ``UNKNOWN`` where the list has none.

    With a ``base_url`` the server is found by its address: another server's price says nothing about yours. A local
    model costs no money a token.
    """
    if provider == Provider.LOCAL:
        return FREE
    if provider not in (Provider.OPENAI, Provider.ANTHROPIC):
        return UNKNOWN
    # Imported late: the list brings pydantic and a quarter of a second of start-up along.
    from genai_prices.data_snapshot import get_snapshot

    try:
        _listed, model = get_snapshot().find_provider_model(
            model_name, None, None if base_url else provider, base_url or None
        )
    except LookupError:
        return UNKNOWN
    prices = model.get_prices(at or timezone.now())
    limits = [limit for name in ("input", "output") if (limit := _first_tier(prices, name)) is not None]
    return Price(
        input_price=_base(prices, "input"),
        output_price=_base(prices, "output"),
        cached_input_price=_base(prices, "cache_read"),
        cache_write_price=_base(prices, "cache_write"),
        source=f"{PACKAGE} {version(PACKAGE)}",
        price_limit=min(limits, default=None),
        context_window=model.context_window,
    )


def from_input(given: Mapping[str, Any]) -> tuple[Price, dict[str, list[str]]]:
    """Read prices that a person entered. Returns them and the errors by field; both prices are needed, or none."""
    read: dict[str, Decimal | None] = {}
    errors: dict[str, list[str]] = {}
    for name in FIELDS:
        value = given.get(name)
        read[name] = None
        if value is None or value == "":
            continue
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal(-1)
        if not amount.is_finite() or not 0 <= amount <= MAX_PRICE:
            errors[name] = [_("Enter USD a million tokens, such as 0.15.")]
        else:
            read[name] = amount.quantize(PLACES)
    if not errors and (read["input_price"] is None) != (read["output_price"] is None):
        missing = "input_price" if read["input_price"] is None else "output_price"
        errors[missing] = [_("Enter both prices, for input and output, or neither.")]
    known = any(value is not None for value in read.values())
    price = Price(
        input_price=read["input_price"],
        output_price=read["output_price"],
        cached_input_price=read["cached_input_price"],
        cache_write_price=read["cache_write_price"],
        source=MANUAL if known else "",
    )
    return price, errors


def estimate_cost(endpoint: Priced, input_tokens: int, output_tokens: int) -> Decimal | None:
    """Return the cost in USD of a call of that size, none of it from a cache; None where it is not known.

    What a call did cost is reckoned by ``runs.costs`` from the usage that the provider reported.
    """
    if endpoint.input_price is None or endpoint.output_price is None:
        return None
    if endpoint.price_limit is not None and input_tokens > endpoint.price_limit:
        return None
    total = input_tokens * endpoint.input_price + output_tokens * endpoint.output_price
    return (total / MILLION).quantize(PLACES)


def _base(prices: ModelPrice, name: str) -> Decimal | None:
    value = getattr(prices, f"{name}_mtok")
    amount = getattr(value, "base", value)
    return None if amount is None else Decimal(amount).quantize(PLACES)


def _first_tier(prices: ModelPrice, name: str) -> int | None:
    """The input tokens above which the provider charges more, None where it never does."""
    tiers = getattr(getattr(prices, f"{name}_mtok"), "tiers", ())
    return min((tier.start for tier in tiers), default=None)
