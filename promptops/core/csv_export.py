"""Tables as CSV: UTF-8 with a byte-order mark (spreadsheets want it), and no cell runs as a formula."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.http import StreamingHttpResponse

# Spreadsheets take a cell that begins with one of these for a formula, and people write the text that lands in cells.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_response(name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """Answer with ``<name>.csv``. Rows are read as they are sent; None is an empty cell, times are ISO 8601 in UTC."""
    response = StreamingHttpResponse(_lines(header, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


class _Echo:
    """What ``csv.writer`` writes into: hands the line back."""

    def write(self, line: str) -> str:
        return line


def _lines(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield "\ufeff" + writer.writerow([_cell(value) for value in header])
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Decimal):
        return format(value, "f")  # never 1E-7
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
