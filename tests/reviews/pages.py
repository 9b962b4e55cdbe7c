"""What the tests of the review pages share: addresses, and what people do on a page."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from promptops.reviews.models import ChangeRequest
from tests.html import HTMX, Page


def path(name: str, *more: Any, query: str = "") -> str:
    """The path of a page in the team's project."""
    return reverse(f"reviews:{name}", args=["team", *more]) + query


def look(client: Client, change: ChangeRequest, query: str = "") -> Page:
    """The page of a change request."""
    return Page(client.get(path("detail", change.number, query=query)))


def act(client: Client, name: str, change: ChangeRequest, *more: Any, status: int = 200, **given: Any) -> Page:
    """Send a form of the page as htmx does; the page as it stands then, or what stands in the way."""
    return Page(client.post(path(name, change.number, *more), given, headers=HTMX), status)
