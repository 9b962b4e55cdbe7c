"""Keyset pagination: the last page is as quick as the first, and rows never shift between pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db import DataError
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from promptops.core.errors import Invalid

Row = TypeVar("Row", bound=Model)

PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


@dataclass(frozen=True)
class Page(Generic[Row]):
    """``items`` in order, and the cursor of the page behind them (None on the last)."""

    items: Sequence[Row]
    next: str | None


def page_of(
    rows: QuerySet[Row], *, order: Sequence[str], cursor: str | None = None, limit: int = PAGE_SIZE
) -> Page[Row]:
    """Cut one page out of ``rows``.

    Args:
        order: field names, each with ``-`` for descending, the last of them unique (such as ``-id``).
        cursor: ``Page.next`` of the page before.
        limit: rows on the page, 1 to 200.

    Raises:
        Invalid: the cursor is not one of ours.
    """
    limit = max(1, min(limit, MAX_PAGE_SIZE))
    if cursor:
        try:
            rows = rows.filter(_behind(order, _decode(cursor, len(order))))
        except (TypeError, ValueError, ValidationError):
            raise _invalid_cursor() from None
    try:
        found = list(rows.order_by(*order)[: limit + 1])
    except DataError:
        raise _invalid_cursor() from None
    items = found[:limit]
    following = _encode([getattr(items[-1], name.lstrip("-")) for name in order]) if len(found) > limit else None
    return Page(items, following)


def _behind(order: Sequence[str], values: Sequence[Any]) -> Q:
    condition = Q()
    equal = Q()
    for name, value in zip(order, values, strict=True):
        field = name.lstrip("-")
        comparison = "lt" if name.startswith("-") else "gt"
        condition |= equal & Q(**{f"{field}__{comparison}": value})
        equal &= Q(**{field: value})
    return condition


def _encode(values: Sequence[Any]) -> str:
    text = json.dumps([value if isinstance(value, int) else str(value) for value in values])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, length: int) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, UnicodeDecodeError):
        values = None
    if not isinstance(values, list) or len(values) != length:
        raise _invalid_cursor()
    return values


def _invalid_cursor() -> Invalid:
    message = _("This cursor is not valid. Start again from the first page.")
    return Invalid(message, errors={"cursor": [message]})
