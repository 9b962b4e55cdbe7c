"""What the tables of this app share: the order that the URL asks for."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest

PAGE_SIZE = 50
CSV_ROWS = 10_000


def sort_of(request: HttpRequest, columns: Mapping[str, str], default: str) -> str:
    """Return ``?sort=``, such as ``-name``; nonsense in it is ignored, so that an edited link still shows a list."""
    asked = request.GET.get("sort", "")
    return asked if asked.removeprefix("-") in columns else default


def order_of(sort: str, columns: Mapping[str, str]) -> list[str]:
    """Return the order for ``page_of``: the column, then the id, in the same direction."""
    sign = "-" if sort.startswith("-") else ""
    return [f"{sign}{columns[sort.removeprefix('-')]}", f"{sign}id"]


def words_of(request: HttpRequest, name: str = "q", *, longest: int = 200) -> str:
    """Return a search text of the URL, without what the database cannot hold."""
    return request.GET.get(name, "").replace("\x00", "").strip()[:longest]
