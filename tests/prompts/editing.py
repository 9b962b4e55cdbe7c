"""What the tests of the editor share: its form as a browser would send it, and its requests."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client
from django.urls import reverse

from tests.html import HTMX, Page
from tests.people import GREETING, Team


def url(team: Team, name: str, slug: str = "greeting") -> str:
    return reverse(f"prompts:{name}", args=[team.project.slug, slug])


def create_url(team: Team) -> str:
    return reverse("prompts:create", args=[team.project.slug])


def form(text: str | None = None, **fields: Any) -> dict[str, Any]:
    """The editor's fields for the greeting, with another text of its user message; JSON values as text."""
    content = GREETING if text is None else {**GREETING, "messages": [{"role": "user", "content": text}]}
    given: dict[str, Any] = {"revision": 0, **content, **fields}
    return {name: value if isinstance(value, str | int) else json.dumps(value) for name, value in given.items()}


def put(client: Client, where: str, text: str, *, revision: int = 0, **heading: Any) -> Any:
    """Autosave, as the page's script does it."""
    content = {**GREETING, "messages": [{"role": "user", "content": text}]}
    body = {"revision": revision, "content": content, "heading": heading}
    return client.put(where, json.dumps(body), content_type="application/json", headers={"Accept": "application/json"})


def post(client: Client, where: str, fields: dict[str, Any]) -> Any:
    return client.post(where, fields, headers=HTMX)


def preview(client: Client, team: Team, fields: dict[str, Any], slug: str = "greeting") -> Page:
    return Page(post(client, url(team, "preview", slug), fields))


def events(response: Any) -> dict[str, Any]:
    """What the answer makes happen on the page."""
    found: dict[str, Any] = json.loads(response.headers.get("HX-Trigger", "{}"))
    return found
