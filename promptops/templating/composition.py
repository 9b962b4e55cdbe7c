"""Prompts inside prompts: `{% include "greeting@production" %}` (jinja), `{{> greeting@production}}` (mustache), and
the message `{"type": "use", "prompt": "greeting@production"}`.

An include means: the text of the other prompt, put in its place *before* anything is rendered. So the render process
loads nothing and knows no other prompt, its limits hold for the whole, whoever gets the composed text renders it to
the same messages, and there is one way of finding the variables of it all. What the included text sets
(`{% set %}`, macros, delimiters) stays inside of it.

This module knows names and texts; which version stands under a label is the caller's question (`sources`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

from .includes import Form, Include, includes_of
from .jinja_lexer import tags_of
from .linting import Finding, lint
from .sandbox import mustache
from .sandbox.errors import INCLUDE, TEMPLATE_TOO_LARGE, Places, TemplateError
from .sandbox.limits import MAX_INCLUDE_DEPTH, MAX_MESSAGES, MAX_TEMPLATE_BYTES
from .spec import template_of
from .template import JsonObject, Template, is_use, texts_of

# Findings about an included text that are the including prompt's business: they depend on where it stands.
_LINTED_INSIDE = frozenset(["undeclared_variable", "untrusted_in_instructions", "undelimited_untrusted"])
_TRIMS_START = ("{%-", "{{-", "{#-")
_TRIMS_END = ("-%}", "-}}", "-#}")


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Where an included text stands in the composed one, and the include's tag in the source."""

    start: int
    end: int
    tag_start: int
    tag_end: int
    reference: str


@dataclass(frozen=True)
class _Text:
    """A composed text with the way back to its source."""

    text: str
    source: str
    stretches: tuple[_Stretch, ...]

    def back(self, line: int, column: int) -> tuple[int, int, str]:
        """The place in the source, and the reference of the included text it lies in (or none)."""
        offset, reference = self._back(self._places.offset(line, column))
        return *self._source_places.of(offset), reference

    def _back(self, offset: int) -> tuple[int, str]:
        index = bisect_right(self.stretches, offset, key=lambda stretch: stretch.start) - 1
        if index < 0:
            return min(offset, len(self.source)), ""
        stretch = self.stretches[index]
        if offset < stretch.end:
            return stretch.tag_start, stretch.reference
        return min(offset + stretch.tag_end - stretch.end, len(self.source)), ""

    @cached_property
    def _places(self) -> Places:
        return Places(self.text)

    @cached_property
    def _source_places(self) -> Places:
        return Places(self.source)


@dataclass(frozen=True)
class Composed:
    """A spec with every include put in. `references` are all of them, also those inside others, by first use."""

    spec: JsonObject
    references: list[str] = field(default_factory=list)
    # By composed message: its text, or the first part, that something was put into.
    _texts: Mapping[int, _Text] = field(default_factory=dict)
    # By composed message: its message in the source, and the reference whose message it is (or none).
    _origins: Sequence[tuple[int, str]] = ()

    @property
    def template(self) -> Template:
        return template_of(self.spec)

    def placed(self, error: TemplateError) -> TemplateError:
        """A mistake in the composed text, at its place in the source: that of the include, where it lies in one."""
        index, line, column, reference = self._back(error.message_index, error.line, error.column)
        message = f"in “{reference}”: {error.message}" if reference else error.message
        return TemplateError(error.code, message, message_index=index, line=line, column=column)

    def lint(self) -> list[Finding]:
        """`lint` of the whole, at the places of the source. What only concerns an included prompt is left to it."""
        schema = self.spec.get("output_schema")
        found = lint(self.template, self.spec.get("parameters"), schema if isinstance(schema, dict) else None)
        shown: dict[Finding, None] = {}
        for one in found:
            index, line, column, reference = self._back(one.message_index, one.line, one.column)
            if not reference or one.code in _LINTED_INSIDE:
                shown[replace(one, message_index=index, line=line, column=column)] = None
        return list(shown)

    def _back(
        self, index: int | None, line: int | None, column: int | None
    ) -> tuple[int | None, int | None, int | None, str]:
        if index is None or index >= len(self._origins):
            return index, line, column, ""
        own_index, reference = self._origins[index]
        if reference:
            return own_index, None, None, reference
        text = self._texts.get(index)
        if text is None or line is None:
            return own_index, line, column, ""
        own_line, own_column, reference = text.back(line, column or 1)
        return own_index, own_line, own_column if column is not None or reference else None, reference


def compose(
    spec: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]], problems: Mapping[str, str] | None = None
) -> Composed:
    """The spec with its includes put in. Variables that it does not declare itself are declared as the included
    prompts declare them, the first one first.

    `sources` are the specs of all included prompts by reference (`greeting@production`), also of those that only
    others include; `problems` says of a reference without one why (a sentence for people). Raises `TemplateError`
    (code `include`, at the place of the include) for what cannot be put in, and for cycles.
    """
    if not may_include(spec):
        return Composed(dict(spec))
    return _Composer(sources, problems or {}).run(spec)


def may_include(spec: Mapping[str, Any]) -> bool:
    """A quick look: False means that there is certainly no include."""
    mark = {"jinja": "include", "mustache": ">"}.get(spec["syntax"])
    return any(is_use(message) for message in spec["messages"]) or (
        mark is not None and any(mark in text.source for text in texts_of(spec["messages"]))
    )


@dataclass
class _Part:
    """An included prompt, composed: once, however often it is included. `height` counts the prompts below it."""

    text: str
    messages: list[JsonObject]
    variables: dict[str, JsonObject]
    height: int


class _Composer:
    def __init__(self, sources: Mapping[str, Mapping[str, Any]], problems: Mapping[str, str]) -> None:
        self.sources, self.problems = sources, problems
        self.parts: dict[str, _Part] = {}
        self.open: list[str] = []
        self.order: list[str] = []

    def run(self, spec: Mapping[str, Any]) -> Composed:
        messages, texts, origins, part = self.messages(spec)
        return Composed({**spec, "messages": messages, "variables": part.variables}, self.order, texts, origins)

    def messages(
        self, spec: Mapping[str, Any]
    ) -> tuple[list[JsonObject], dict[int, _Text], list[tuple[int, str]], _Part]:
        """The composed messages of a spec, with the way back from each; the part has its variables and its height."""
        template = template_of(spec)
        includes, errors = includes_of(template)
        if errors:
            raise errors[0]
        by_message = {index: list(here) for index, here in groupby(includes, lambda include: include.message_index)}
        variables: dict[str, JsonObject] = dict(template.variables)
        height = 0
        composed: list[JsonObject] = []
        texts: dict[int, _Text] = {}
        origins: list[tuple[int, str]] = []
        for index, message in enumerate(template.messages):
            here = by_message.get(index, [])
            parts = {str(include.reference): self.part(include, template) for include in here}
            for part in parts.values():
                height = max(height, part.height + 1)
                variables |= {name: declared for name, declared in part.variables.items() if name not in variables}
            if is_use(message):
                reference = str(here[0].reference)
                composed += parts[reference].messages
                origins += [(index, reference)] * len(parts[reference].messages)
            else:
                composed.append(self.put_in(message, len(composed), here, parts, texts))
                origins.append((index, ""))
            if len(composed) > MAX_MESSAGES:
                raise TemplateError(
                    TEMPLATE_TOO_LARGE,
                    f"with its includes the prompt has more than {MAX_MESSAGES} messages",
                    message_index=index,
                )
        return composed, texts, origins, _Part("", [], variables, height)

    def put_in(
        self,
        message: JsonObject,
        index: int,
        includes: Sequence[Include],
        parts: Mapping[str, _Part],
        texts: dict[int, _Text],
    ) -> JsonObject:
        if not includes:
            return message
        content = message.get("content")
        if isinstance(content, str):
            texts[index] = _replaced(content, includes, parts)
            return message | {"content": texts[index].text}
        new = list(content or ())
        for part_index, here in groupby(includes, lambda include: include.part_index or 0):
            text = _replaced(new[part_index]["text"], list(here), parts)
            texts.setdefault(index, text)
            new[part_index] = new[part_index] | {"text": text.text}
        return message | {"content": new}

    def part(self, include: Include, template: Template) -> _Part:
        """The composed prompt behind an include. Raises `TemplateError` at the place of the include."""
        name = str(include.reference)
        try:
            return self.composed(name, include.form, template.syntax)
        except TemplateError as error:
            raise TemplateError(
                error.code,
                error.message,
                message_index=include.message_index,
                line=include.line,
                column=include.column,
            ) from None

    def composed(self, name: str, form: Form, syntax: str) -> _Part:
        if name in self.open:
            way = " → ".join([*self.open[self.open.index(name) :], name])
            raise TemplateError(INCLUDE, f"a prompt cannot include itself: {way}")
        spec = self.sources.get(name)
        if spec is None:
            raise TemplateError(INCLUDE, self.problems.get(name, f"there is no prompt “{name}” here"))
        if spec["syntax"] != syntax:
            raise TemplateError(INCLUDE, f"“{name}” is written in {spec['syntax']}, and this prompt in {syntax}")
        if form == "text" and spec["kind"] != "text":
            raise TemplateError(
                INCLUDE, f"“{name}” is a chat prompt: its messages are put in as a message of their own"
            )
        if form == "messages" and spec["kind"] != "chat":
            raise TemplateError(INCLUDE, f"“{name}” is a text prompt: include it in the text of a message")
        part = self.parts.get(name)
        if part is None:
            if len(self.open) >= MAX_INCLUDE_DEPTH:
                raise TemplateError(INCLUDE, _too_deep([*self.open, name]))
            self.order.append(name)
            self.open.append(name)
            try:
                part = self.parts[name] = self.made(spec)
            except TemplateError as error:
                # The innermost place is of no use to who reads the outermost prompt; its name is.
                if error.message_index is not None and error.code != INCLUDE:
                    error.message = f"in “{name}”: {error.message}"
                raise
            finally:
                self.open.pop()
        elif len(self.open) + part.height + 1 > MAX_INCLUDE_DEPTH:
            raise TemplateError(INCLUDE, _too_deep([*self.open, name]))
        return part

    def made(self, spec: Mapping[str, Any]) -> _Part:
        messages, _texts, _origins, part = self.messages(spec)
        part.messages = messages
        if spec["kind"] == "text":
            part.text = _isolated(str(messages[0]["content"]), spec["syntax"])
        return part


def _too_deep(way: Sequence[str]) -> str:
    return f"includes are nested deeper than {MAX_INCLUDE_DEPTH}: {' → '.join(way)}"


def _replaced(source: str, includes: Sequence[Include], parts: Mapping[str, _Part]) -> _Text:
    pieces: list[str] = []
    stretches: list[_Stretch] = []
    position = length = 0
    for include in includes:
        name = str(include.reference)
        own, put = source[position : include.start], parts[name].text
        if include.trims:
            put = _trimming(put, source[include.start : include.end])
        length += len(own)
        stretches.append(_Stretch(length, length + len(put), include.start, include.end, name))
        length += len(put)
        if length > MAX_TEMPLATE_BYTES:
            raise TemplateError(
                TEMPLATE_TOO_LARGE,
                f"with its includes the template is larger than {MAX_TEMPLATE_BYTES} bytes",
                message_index=include.message_index,
                line=include.line,
                column=include.column,
            )
        pieces += [own, put]
        position = include.end
    pieces.append(source[position:])
    return _Text("".join(pieces), source, tuple(stretches))


def _isolated(text: str, syntax: str) -> str:
    """The text of a prompt, so that it can stand inside of another and neither touches the other's tags or names."""
    if syntax == "mustache":
        opening, closing = mustache.partials_of(text)[1]
        if (opening, closing) != mustache.USUAL:
            return f"{text}{opening}={{{{ }}}}={closing}"
        # A brace at the end would open a tag with what follows.
        return text[:-1] + "{{=<% %>=}}{<%={{ }}=%>" if text.endswith("{") else text
    if syntax != "jinja":
        return text
    if text.endswith("{"):
        text = text[:-1] + '{{ "{" }}'
    scoped = text.startswith(_TRIMS_START) or text.endswith(_TRIMS_END)
    if scoped or any(word in text and _defines(text) for word in ("set", "macro")):
        return f"{{% with %}}{text}{{% endwith %}}"
    return text


def _defines(text: str) -> bool:
    return any(tag.tokens and tag.tokens[0].text in ("set", "macro") for tag in tags_of(text))


def _trimming(text: str, tag: str) -> str:
    """`{%- include … -%}` takes the white space around itself along."""
    before = "{%- with %}" if tag[2] == "-" else "{% with %}"
    after = "{% endwith -%}" if tag[-3] == "-" else "{% endwith %}"
    return f"{before}{text}{after}"
