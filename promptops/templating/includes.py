"""Where a template names other prompts: `{% include "greeting@production" %}` (jinja), `{{> greeting@production}}`
(mustache), and the message `{"type": "use", "prompt": "greeting@production"}`. What that means: `composition.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from .jinja_lexer import Tag, tags_of
from .sandbox import mustache
from .sandbox.errors import SYNTAX, Places, TemplateError
from .template import Template, is_use, texts_of

_REFERENCE = re.compile(
    r"(?P<slug>[a-z0-9](?:[a-z0-9_-]{0,98}[a-z0-9])?)@(?P<which>[a-z0-9](?:[a-z0-9_-]{0,58}[a-z0-9])?)"
)
_LOADING = frozenset(["include", "import", "from", "extends"])

Form = Literal["text", "messages"]


@dataclass(frozen=True, slots=True)
class Reference:
    """`greeting@production` or `greeting@3`: exactly one of `label` and `version` is set."""

    slug: str
    label: str | None = None
    version: int | None = None

    def __str__(self) -> str:
        return f"{self.slug}@{self.label or self.version}"


@dataclass(frozen=True, slots=True)
class Include:
    """One place where a template includes another prompt: its text in a text, or its messages (`use`).

    `start` and `end` are the tag's offsets in the text; `line` and `column` count from 1. All four are 0 or None for a
    message.
    """

    reference: Reference
    form: Form
    message_index: int
    part_index: int | None = None
    line: int | None = None
    column: int | None = None
    start: int = 0
    end: int = 0
    trims: bool = False


def parse_reference(text: str) -> Reference:
    """Read `slug@label` or `slug@number`. Raises `TemplateError`, without a place."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise TemplateError(
            SYNTAX, f"'{text}' names no prompt; write a slug and a label or version: greeting@production"
        )
    slug, which = match.groups()
    if which == "latest":
        raise TemplateError(SYNTAX, f"'{text}' would change with every save; name a label or a version instead")
    if not which.isdecimal():
        return Reference(slug, label=which)
    if not 0 < int(which) < 2**31:
        raise TemplateError(SYNTAX, f"'{text}' is not a version: they count from 1")
    return Reference(slug, version=int(which))


def includes_of(template: Template) -> tuple[list[Include], list[TemplateError]]:
    """The includes of a template in order, and the mistakes in others, each with its place. Half-written templates are
    fine: what cannot be read is passed over. Raises `TemplateError` for a template beyond the limits.
    """
    includes: list[Include] = []
    errors: list[TemplateError] = []
    by_message: dict[int, list[tuple[int | None, str]]] = {}
    for text in texts_of(template.messages):
        by_message.setdefault(text.message_index, []).append((text.part_index, text.source))
    for index, message in enumerate(template.messages):
        if is_use(message):
            try:
                includes.append(Include(parse_reference(str(message.get("prompt", ""))), "messages", index))
            except TemplateError as error:
                error.message_index = index
                errors.append(error)
        for part_index, source in by_message.get(index, ()):
            for found in _text_includes(template.syntax, source):
                if isinstance(found, Include):
                    includes.append(replace(found, message_index=index, part_index=part_index))
                else:
                    found.message_index = index
                    errors.append(found)
    return includes, errors


def _text_includes(syntax: str, source: str) -> Iterator[Include | TemplateError]:
    if syntax == "jinja":
        if not any(word in source for word in _LOADING):
            return
        places = Places(source)
        for tag in tags_of(source):
            if tag.kind == "statement" and tag.tokens and tag.tokens[0].text in _LOADING:
                yield _jinja_include(tag, source, places)
    elif syntax == "mustache" and ">" in source:
        places = Places(source)
        for partial in mustache.partials_of(source)[0]:
            line, column = places.of(partial.start)
            try:
                if not partial.usual:
                    raise TemplateError(SYNTAX, "an include needs the usual delimiters: {{> greeting@production}}")
                reference = parse_reference(partial.name)
            except TemplateError as error:
                yield TemplateError(SYNTAX, error.message, line=line, column=column)
                continue
            yield Include(reference, "text", 0, None, line, column, partial.start, partial.end)


def _jinja_include(tag: Tag, source: str, places: Places) -> Include | TemplateError:
    line, column = places.of(tag.start)
    keyword, *rest = tag.tokens
    try:
        if keyword.text != "include":
            raise TemplateError(SYNTAX, f"'{keyword.text}' is not supported; include another prompt instead")
        if len(rest) != 1 or rest[0].kind != "string":
            raise TemplateError(SYNTAX, 'an include names one prompt: {% include "greeting@production" %}')
        reference = parse_reference(rest[0].text[1:-1])
    except TemplateError as error:
        return TemplateError(SYNTAX, error.message, line=line, column=column)
    trims = source[tag.start + 2] == "-" or source[tag.end - 3] == "-"
    return Include(reference, "text", 0, None, line, column, tag.start, tag.end, trims)
