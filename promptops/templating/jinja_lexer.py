"""Splits a Jinja template into its tags and their tokens, by MiniJinja's rules and with exact offsets.

MiniJinja can say which names a template leaves undeclared, but not where they stand (and it misses some: the base of
a slice, the right side of `{% set x = x ~ "!" %}`). The editor needs places, so we read the tags ourselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .sandbox.errors import TEMPLATE_TOO_LARGE, TemplateError
from .sandbox.limits import MAX_TAGS, MAX_TOKENS

_TAG_START = re.compile(r"\{[{%#]")
_RAW = re.compile(r"[-+]?\s*raw\s*[-+]?%\}")
_END_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<string>"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+')
    | (?P<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<name>[^\W\d]\w*)
    | (?P<operator>//|\*\*|==|!=|>=|<=|[-+*/%.,:~|=<>()\[\]}]|\{(?![{%#]))""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is name, string, number or operator; `offset` is where the token starts in the template."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Tag:
    """The tokens between `{{` and `}}` ("expression"), or `{%` and `%}` ("statement"); `start` and `end` are where the
    whole tag stands in the template.
    """

    kind: Literal["expression", "statement"]
    tokens: list[Token]
    start: int
    end: int


def tags_of(source: str) -> Iterator[Tag]:
    """The tags of a template, without comments and raw blocks. A tag that can't be read is passed over. Raises
    `TemplateError` for a template beyond the limits."""
    position = count = 0
    while match := _TAG_START.search(source, position):
        count += 1
        if count > MAX_TAGS:
            raise TemplateError(TEMPLATE_TOO_LARGE, f"more than {MAX_TAGS} tags in one message")
        opening, position = match.group(), match.end()
        if opening == "{#":
            position = _behind(source, "#}", position)
        elif opening == "{%" and (raw := _RAW.match(source, position)):
            end_raw = _END_RAW.search(source, raw.end())
            position = end_raw.end() if end_raw else len(source)
        else:
            closing = "}}" if opening == "{{" else "%}"
            tokens, position, is_closed = _tokens(source, position, closing)
            if is_closed:
                yield Tag("expression" if opening == "{{" else "statement", tokens, match.start(), position)


def _tokens(source: str, position: int, closing: str) -> tuple[list[Token], int, bool]:
    """The tokens up to `closing`, where to go on, and whether the tag could be read."""
    if source[position : position + 1] in ("-", "+"):
        position += 1
    tokens: list[Token] = []
    depth = 0
    while position < len(source):
        if depth == 0:
            if source.startswith(closing, position):
                return tokens, position + 2, True
            if source[position] in "-+" and source.startswith(closing, position + 1):
                return tokens, position + 3, True
        match = _TOKEN.match(source, position)
        if match is None:
            # Never inside an expression: a character of no token, or the start of the next tag because this one isn't
            # closed yet.
            return tokens, position, False
        kind, text = match.lastgroup or "", match.group()
        if kind == "operator":
            depth += (text in "([{") - (text in ")]}")
        if kind != "space":
            tokens.append(Token(kind, text, position))
            if len(tokens) > MAX_TOKENS:
                raise TemplateError(TEMPLATE_TOO_LARGE, f"more than {MAX_TOKENS} words and operators in one tag")
        position = match.end()
    return tokens, position, False


def _behind(source: str, text: str, position: int) -> int:
    end = source.find(text, position)
    return len(source) if end == -1 else end + len(text)
