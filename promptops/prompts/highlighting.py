"""Templates for reading: where the tags are, so that a page can colour them.

A light reading, as the editor's own (``static/js/editor/template_syntax.js``): which variables a template has is
``templating.variables_of``'s question. It takes time in proportion to the text, whatever the text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from promptops.templating import Reference, TemplateError, is_use, parse_reference

PieceKind = Literal["text", "var", "tag", "note"]

_FSTRING_TAG = re.compile(r"\{\{|\}\}|\{[^{}\n]*\}")
_RAW = re.compile(r"\{%[-+]?\s*raw\b")
_JINJA_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_INCLUDE = {
    "jinja": re.compile(r"""\{%[-+]?\s*include\s*["']([^"']{1,200})["']\s*[-+]?%\}"""),
    "mustache": re.compile(r"\{\{>\s*([^\s{}]{1,200})\s*\}\}"),
}
_OPENING = {"jinja": re.compile(r"\{[{%#]"), "mustache": re.compile(r"\{\{\{?")}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a template: plain text, a variable, another tag, or a comment; ``included`` where it is a tag that
    puts another prompt in.
    """

    kind: PieceKind
    text: str
    included: Reference | None = None


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part of a message: a text in pieces, or something else (an image, say) by its type and address."""

    pieces: list[Piece]
    type: str = "text"
    url: str = ""


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A message for reading. ``placeholder`` is the name of the list of messages that is put in here, and ``used`` the
    chat prompt whose messages are; else empty.
    """

    number: int
    role: str
    parts: list[ShownPart]
    placeholder: str = ""
    used: Reference | None = None


def shown_messages(content: Mapping[str, Any]) -> list[ShownMessage]:
    """Return the messages of a content with their tags marked."""
    syntax = content["syntax"]
    messages = []
    for number, message in enumerate(content["messages"], start=1):
        if message.get("type") == "placeholder":
            messages.append(ShownMessage(number, "", [], placeholder=message["name"]))
            continue
        if is_use(message):
            messages.append(ShownMessage(number, "", [], used=parse_reference(message["prompt"])))
            continue
        given = message.get("content") or ""
        parts = [{"type": "text", "text": given}] if isinstance(given, str) else given
        messages.append(ShownMessage(number, message.get("role", ""), [_part(part, syntax) for part in parts]))
    return messages


def pieces_of(text: str, syntax: str) -> list[Piece]:
    """Return the stretches of a template's text in order; joined again they are the text."""
    pieces: list[Piece] = []
    position = 0
    for start, end, kind in _tags(text, syntax):
        if start > position:
            pieces.append(Piece("text", text[position:start]))
        pieces.append(Piece(kind, text[start:end], _included(text[start:end], syntax) if kind == "tag" else None))
        position = end
    if position < len(text):
        pieces.append(Piece("text", text[position:]))
    return pieces


def _included(tag: str, syntax: str) -> Reference | None:
    match = _INCLUDE[syntax].fullmatch(tag) if syntax in _INCLUDE else None
    try:
        return parse_reference(match[1]) if match else None
    except TemplateError:
        return None


def _part(part: Mapping[str, Any], syntax: str) -> ShownPart:
    if part.get("type") == "text":
        return ShownPart(pieces_of(str(part.get("text", "")), syntax))
    image = part.get("image_url")
    url = image.get("url", "") if isinstance(image, Mapping) else image or ""
    return ShownPart([], type=str(part.get("type", "")), url=str(url))


def _tags(text: str, syntax: str) -> Iterator[tuple[int, int, PieceKind]]:
    if syntax == "fstring":
        for field in _FSTRING_TAG.finditer(text):
            if len(field.group()) > 2:
                yield field.start(), field.end(), "var" if field.group()[1:-1].isidentifier() else "tag"
        return
    opening, position = _OPENING[syntax], 0
    while match := opening.search(text, position):
        start, mark = match.start(), match.group()
        closing = _JINJA_CLOSING[mark] if syntax == "jinja" else mark.replace("{", "}")
        found = text.find(closing, match.end())
        if found < 0:
            # Nothing closes it, and nothing further on can be closed by the same mark either.
            return
        position = found + len(closing)
        tag = text[start:position]
        yield start, position, _jinja_kind(mark) if syntax == "jinja" else _mustache_kind(tag)
        if syntax == "jinja" and _RAW.match(tag):
            position = _behind_raw(text, position)


def _jinja_kind(mark: str) -> PieceKind:
    return "note" if mark == "{#" else "tag" if mark == "{%" else "var"


def _mustache_kind(tag: str) -> PieceKind:
    first = tag.strip("{}").strip()[:1]
    return "note" if first == "!" else "tag" if first in "#^/>=" and first else "var"


def _behind_raw(text: str, position: int) -> int:
    end = text.find("endraw", position)
    return len(text) if end < 0 else max(position, text.rfind("{%", position, end))
