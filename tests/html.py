"""Browsing in tests: a signed-in client, and reading the HTML that it gets as a person would.

    client = signed_in(team.editor)
    page = Page(client.get(url))
    assert "Greeting" in page.text and page.link("Versions") == "/p/team/prompts/greeting/versions/"

``HTMX`` are the headers of an htmx request: ``client.get(url, headers=HTMX)`` gets the fragment.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from django.test import Client

if TYPE_CHECKING:
    from promptops.accounts.models import User

HTMX = {"HX-Request": "true"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def signed_in(user: User, **options: Any) -> Client:
    """A browser in which that person is signed in; ``enforce_csrf_checks=True`` where the CSRF token matters."""
    client = Client(**options)
    client.force_login(user)
    return client


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What a person reads, with runs of space made one; what is hidden from sight is in it."""
        return re.sub(r"\s+", " ", "".join(self._texts())).strip()

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """Every such element below. ``class_`` is one of the classes; ``_`` stands for ``-``."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if (not tag or child.tag == tag) and child._has(attributes):
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def one(self, tag: str = "", **attributes: str) -> Element:
        """The only such element. AssertionError where there is none, or more."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of <{tag} {attributes}> in: {self.text[:600]}"
        return found[0]

    def _has(self, attributes: dict[str, str]) -> bool:
        for name, value in attributes.items():
            have = self.attributes.get(name.rstrip("_").replace("_", "-"))
            if have is None or (value not in have.split() if name == "class_" else value != have):
                return False
        return True

    def _texts(self) -> list[str]:
        if self.tag in ("script", "style"):
            return []
        texts: list[str] = []
        for child in self.children:
            texts += [child] if isinstance(child, str) else [" ", *child._texts(), " "]
        return texts


class Page(Element):
    """A page or fragment. AssertionError when the answer is not HTML with that status."""

    def __init__(self, response: Any, status: int = 200) -> None:
        super().__init__("#page", {})
        body = response.content.decode()
        assert response.status_code == status, f"{response.status_code}: {body[:1000]}"
        assert response["Content-Type"].startswith("text/html")
        self.source = body
        parser = _Builder(self)
        parser.feed(body)
        parser.close()

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole page, not a fragment."""
        return bool(self.all("html"))

    @property
    def content(self) -> Element:
        """The page without its frame; a fragment as it is."""
        found = self.all("main")
        return found[0] if found else self

    def link(self, text: str) -> str:
        """Where the only link with that text leads."""
        found = [one for one in self.all("a") if text in one.text]
        assert len(found) == 1, f"{len(found)} links “{text}” in: {self.text[:600]}"
        return found[0].attributes["href"]

    def links(self) -> list[str]:
        return [one.attributes["href"] for one in self.all("a") if "href" in one.attributes]

    def values(self) -> dict[str, str]:
        """What the fields of the content hold, by name (a select's chosen option; unchecked boxes are absent)."""
        values = {}
        for one in self.content.all("input"):
            unchecked = one.attributes.get("type") in ("checkbox", "radio") and "checked" not in one.attributes
            if "name" in one.attributes and not unchecked:
                values[one.attributes["name"]] = one.attributes.get("value", "")
        for one in self.content.all("textarea"):
            values[one.attributes.get("name", "")] = "".join(one._texts()).removeprefix("\n")
        for one in self.content.all("select"):
            chosen = [option for option in one.all("option") if "selected" in option.attributes]
            values[one.attributes.get("name", "")] = chosen[0].attributes.get("value", "") if chosen else ""
        return values

    def errors(self) -> str:
        """What the forms complain of."""
        shown = [*self.content.all(class_="field-error"), *self.content.all(class_="danger", role="alert")]
        return " ".join(one.text for one in shown)

    def notices(self) -> list[str]:
        """The messages that appear as toasts when the page loads."""
        return [one.text for one in self.all(id="pending-toasts")[0].all("p")] if self.all(id="pending-toasts") else []


def toast_of(response: Any) -> str:
    """The message that an htmx answer makes the page show; empty where it shows none."""
    return str(json.loads(response.headers.get("HX-Trigger", "{}")).get("toast", {}).get("message", ""))


def csv_rows(response: Any) -> list[list[str]]:
    """The rows of a CSV answer, header first."""
    import csv
    import io

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/csv")
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


class _Builder(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[Element] = [page]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.stack[-1].children.append(element)
        if tag not in VOID:
            self.stack.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.stack[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        for place in range(len(self.stack) - 1, 0, -1):
            if self.stack[place].tag == tag:
                del self.stack[place:]
                return

    def handle_data(self, data: str) -> None:
        self.stack[-1].children.append(data)
