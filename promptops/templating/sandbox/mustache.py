"""The `mustache` syntax, after the Mustache specification (https://mustache.github.io/mustache.5.html).

Variables, dotted names, sections, inverted sections, comments, set delimiters, the implicit iterator and the rules
for lines that hold nothing but a tag. Three deliberate differences: text is never HTML-escaped (a prompt is not
HTML), partials are put in by the application before anything is rendered (`composition.py`; nothing is loaded here,
and inheritance is refused), and a name reaches only into JSON objects, never into attributes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import OUTPUT_TOO_LARGE, STEP_LIMIT, SYNTAX, TEMPLATE_TOO_LARGE, TemplateError, place_of
from .limits import MAX_DEPTH, MAX_OUTPUT_BYTES, MAX_TAG_CHARS, MAX_TAGS, MUSTACHE_STEPS
from .values import to_text

_END_OF_LINE = re.compile(r"[ \t]*(?:\r?\n|\Z)")
_MISSING = object()

USUAL = ("{{", "}}")
# The characters behind the opening delimiter that say what a tag is; those of tags that may have a line to themselves.
_SIGILS = frozenset("{&#^/!=><$")
_STANDALONE = frozenset("#^/!=")


@dataclass(frozen=True, slots=True)
class Variable:
    """`{{a.b}}`; `path` is empty for the implicit iterator `{{.}}`. `offset` is where the name starts."""

    path: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Section:
    """`{{#a.b}}…{{/a.b}}`, or `{{^a.b}}…` when inverted."""

    path: tuple[str, ...]
    offset: int
    inverted: bool
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Partial:
    """`{{> name}}` between `start` and `end`; `usual` says that `{{` and `}}` are the delimiters there."""

    name: str
    start: int
    end: int
    usual: bool


Node = str | Variable | Section | Partial


def partials_of(source: str) -> tuple[list[Partial], tuple[str, str]]:
    """The partials of a template that may be half written, in order, and the delimiters that hold at its end."""
    parser = _Parser(source, lenient=True)
    parser.parse()
    return parser.partials, (parser.opening, parser.closing)


def parse(source: str, *, lenient: bool = False) -> list[Node]:
    """The tree of a template. Raises `TemplateError` at the first mistake; a lenient parse passes over mistakes."""
    return _Parser(source, lenient).parse()


def render(source: str, variables: Mapping[str, Any]) -> str:
    """The text of a template. A name that is found nowhere renders as nothing, as the specification says."""
    return _Renderer(variables).render(parse(source))


class _Parser:
    def __init__(self, source: str, lenient: bool) -> None:
        self.source = source
        self.lenient = lenient
        self.comment_is_open = False
        self.root: list[Node] = []
        self.stack: list[tuple[Section, str]] = []
        self.partials: list[Partial] = []
        self.set_delimiters("{{", "}}")

    def set_delimiters(self, opening: str, closing: str) -> None:
        self.opening, self.closing = opening, closing

    def parse(self) -> list[Node]:
        position = 0
        tags = 0
        while (start := self.source.find(self.opening, position)) != -1:
            tags += 1
            if tags > MAX_TAGS:
                raise TemplateError(TEMPLATE_TOO_LARGE, f"more than {MAX_TAGS} tags in one message")
            try:
                position = self.tag(position, start)
            except TemplateError:
                if not self.lenient:
                    raise
                position = start + len(self.opening)
        self.text(self.source[position:])
        if self.stack and not self.lenient:
            section, name = self.stack[-1]
            raise self.error(section.offset, f"section '{name}' is never closed")
        return self.root

    def tag(self, position: int, start: int) -> int:
        """Takes the text from `position` and the tag at `start`; returns where to go on."""
        source = self.source
        inner = start + len(self.opening)
        sigil = source[inner : inner + 1]
        closing = {"{": "}" + self.closing, "=": "=" + self.closing}.get(sigil, self.closing)
        content_start = inner + (sigil in _SIGILS)
        end = self.find(closing, content_start, is_comment=sigil == "!")
        if end == -1:
            raise self.error(start, f"tag is never closed with '{closing}'")
        after = end + len(closing)
        before = source[position:start]
        if sigil in _STANDALONE:
            before, after = self.standalone(start, before, after)
        self.text(before)
        content = source[content_start:end]
        if sigil == ">":
            self.partial(Partial(content.strip(), start, end + len(closing), (self.opening, self.closing) == USUAL))
        else:
            self.take(sigil, content, content_start + len(content) - len(content.lstrip()), start)
        return after

    def find(self, closing: str, start: int, *, is_comment: bool) -> int:
        """Where the tag closes; -1 when it doesn't. Only comments may be long, and an open one ends the search for
        others: else a text of nothing but open tags would be searched to its end for each of them.
        """
        if not is_comment:
            return self.source.find(closing, start, start + MAX_TAG_CHARS)
        if self.comment_is_open:
            return -1
        end = self.source.find(closing, start)
        self.comment_is_open = end == -1
        return end

    def standalone(self, start: int, before: str, after: int) -> tuple[str, int]:
        """Drops the rest of the line where nothing but white space stands beside the tag."""
        stripped = before.rstrip(" \t")
        line_start = start - (len(before) - len(stripped))
        if line_start > 0 and self.source[line_start - 1] != "\n":
            return before, after
        end_of_line = _END_OF_LINE.match(self.source, after)
        if end_of_line is None:
            return before, after
        return stripped, end_of_line.end()

    def take(self, sigil: str, content: str, offset: int, start: int) -> None:
        if sigil == "!":
            return
        if sigil == "=":
            parts = content.split()
            if len(parts) != 2 or any("=" in part for part in parts):
                raise self.error(start, "delimiters are set with two words, as in '{{=<% %>=}}'")
            self.set_delimiters(*parts)
            return
        if sigil in ("<", "$"):
            raise self.error(start, "inheritance is not supported; include another prompt: {{> greeting@production}}")
        name = content.strip()
        path = self.path(name, start)
        if sigil in ("#", "^"):
            if len(self.stack) >= MAX_DEPTH:
                raise self.error(start, f"sections are nested deeper than {MAX_DEPTH}")
            section = Section(path, offset, sigil == "^")
            self.nodes.append(section)
            self.stack.append((section, name))
        elif sigil == "/":
            if not self.stack or self.stack[-1][1] != name:
                expected = f"; '{self.stack[-1][1]}' is open" if self.stack else ""
                raise self.error(start, f"'{name}' is closed but not open{expected}")
            self.stack.pop()
        else:
            self.nodes.append(Variable(path, offset))

    def partial(self, partial: Partial) -> None:
        self.nodes.append(partial)
        self.partials.append(partial)

    def path(self, name: str, start: int) -> tuple[str, ...]:
        if name == ".":
            if not self.stack:
                raise self.error(start, "'.' stands for the item of a section, and here is none")
            return ()
        path = tuple(name.split("."))
        if not all(path):
            raise self.error(start, f"'{name}' is not a name" if name else "a tag without a name")
        if any(character.isspace() for character in name):
            raise self.error(start, f"'{name}' is not a name: names have no spaces")
        return path

    @property
    def nodes(self) -> list[Node]:
        return self.stack[-1][0].children if self.stack else self.root

    def text(self, text: str) -> None:
        if text:
            self.nodes.append(text)

    def error(self, offset: int, message: str) -> TemplateError:
        if self.lenient:
            # Nobody reads it, and counting lines for thousands of them takes seconds.
            return TemplateError(SYNTAX, "")
        line, column = place_of(self.source, offset)
        return TemplateError(SYNTAX, message, line=line, column=column)


class _Renderer:
    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.contexts: list[Any] = [variables]
        self.output: list[str] = []
        self.characters = 0
        self.steps = 0

    def render(self, nodes: Sequence[Node]) -> str:
        self.visit(nodes)
        return "".join(self.output)

    def visit(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.steps += 1
            if self.steps > MUSTACHE_STEPS:
                raise TemplateError(STEP_LIMIT, "the template does too much work: sections repeat too often")
            if isinstance(node, str):
                self.emit(node)
            elif isinstance(node, Variable):
                value = self.look_up(node.path)
                if value is not _MISSING:
                    self.emit(to_text(value))
            elif isinstance(node, Partial):
                raise TemplateError(SYNTAX, f"'{node.name}' was not put in before rendering")
            else:
                self.section(node)

    def section(self, section: Section) -> None:
        value = self.look_up(section.path)
        # Falsy as in the specification's own language: an empty object is true, an empty list, text or zero is not.
        shown = value is not _MISSING and (bool(value) or isinstance(value, Mapping))
        if section.inverted:
            if not shown:
                self.visit(section.children)
        elif shown:
            for item in value if isinstance(value, list) else (value,):
                self.contexts.append(item)
                self.visit(section.children)
                self.contexts.pop()
                self.steps += 1

    def look_up(self, path: tuple[str, ...]) -> Any:
        if not path:
            return self.contexts[-1]
        for context in reversed(self.contexts):
            if isinstance(context, Mapping) and path[0] in context:
                value: Any = context[path[0]]
                break
        else:
            return _MISSING
        for key in path[1:]:
            # Only the first part of a dotted name searches the outer contexts.
            if not isinstance(value, Mapping) or key not in value:
                return _MISSING
            value = value[key]
        return value

    def emit(self, text: str) -> None:
        self.characters += len(text)
        if self.characters > MAX_OUTPUT_BYTES:
            raise TemplateError(OUTPUT_TOO_LARGE, f"the rendered text is larger than {MAX_OUTPUT_BYTES} bytes")
        self.output.append(text)
