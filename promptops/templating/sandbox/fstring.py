"""The `fstring` syntax: `{name}` is a variable, `{{` and `}}` are braces, and there is nothing else.

It looks like Python's format strings and shares none of their machinery: no attributes, indexes, conversions or
format specifications, which is where those reach into objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import SYNTAX, TEMPLATE_TOO_LARGE, UNDEFINED, TemplateError, place_of
from .limits import MAX_TAGS
from .values import to_text

_BRACE = re.compile(r"[{}]")
_FIELD = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")


@dataclass(frozen=True, slots=True)
class Field:
    """A variable in a template; `offset` is where its name starts."""

    name: str
    offset: int


def parse(source: str) -> Iterator[str | Field]:
    """Literal pieces (escapes already undone) and fields, in order. Raises `TemplateError` at the first mistake."""
    position = 0
    tags = 0
    while match := _BRACE.search(source, position):
        start = match.start()
        if start > position:
            yield source[position:start]
        brace = match.group()
        tags += 1
        if tags > MAX_TAGS:
            raise TemplateError(TEMPLATE_TOO_LARGE, f"more than {MAX_TAGS} braces in one message")
        if source.startswith(brace, start + 1):
            yield brace
            position = start + 2
        elif brace == "}":
            raise _error(source, start, "a single '}' closes nothing; write '}}' for a brace in the text")
        else:
            end = source.find("}", start)
            name = source[start + 1 : end] if end != -1 else ""
            if end == -1 or "{" in name:
                raise _error(source, start, "'{' is never closed; write '{{' for a brace in the text")
            if not name.isidentifier():
                raise _error(source, start, f"'{name}' is not a variable name; write '{{{{' for a brace in the text")
            yield Field(name, start + 1)
            position = end + 1
    if position < len(source):
        yield source[position:]


def fields_of(source: str) -> Iterator[Field]:
    """The fields of a template that may be half written: whatever is no field is passed over."""
    for match in _FIELD.finditer(source):
        if match.group(1):
            yield Field(match.group(1), match.start(1))


def render(source: str, variables: Mapping[str, Any]) -> str:
    """The text with every field replaced. Raises `TemplateError` for a field without a value."""
    pieces: list[str] = []
    for piece in parse(source):
        if isinstance(piece, str):
            pieces.append(piece)
        elif piece.name in variables:
            pieces.append(to_text(variables[piece.name]))
        else:
            line, column = place_of(source, piece.offset)
            raise TemplateError(UNDEFINED, f"variable '{piece.name}' has no value", line=line, column=column)
    return "".join(pieces)


def _error(source: str, offset: int, message: str) -> TemplateError:
    line, column = place_of(source, offset)
    return TemplateError(SYNTAX, message, line=line, column=column)
