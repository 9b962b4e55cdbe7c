"""Which variables a template uses, and where: for the editor, the contract, lint and the render itself.

Lenient on purpose: the editor asks while somebody is typing, so a tag that cannot be read is passed over. Whether a
template is correct is `check_syntax`'s question.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from . import jinja_names
from .name_use import NameUse
from .sandbox import fstring, mustache
from .sandbox.errors import TEMPLATE_TOO_LARGE, Places, TemplateError
from .sandbox.limits import MAX_USES
from .template import JsonObject, Template, Text, check_size, placeholders_of, texts_of

# From the most telling to the least: one `{{ user.name }}` says more about `user` than ten `{{ user }}`.
_TELLING = ("messages", "object", "array", "number", "boolean", "string")

# Sources above this are parsed anew each time, so that the cache stays small whatever is thrown at it.
_CACHED_CHARS = 8 * 1024


@dataclass(frozen=True, slots=True)
class VariableUse:
    """One place where a template uses a variable.

    `type_hint` is what this place suggests: messages, object, array, number, boolean or string. `line` and `column`
    count from 1 in the text of the message (or of its part `part_index`), `column` in characters, and mark the name
    itself; both are None for a placeholder message. `optional` is true where the template copes with the variable's
    absence. `maybe_field` (mustache) marks a name inside a section that may as well be a field of the section's item.
    """

    name: str
    type_hint: str
    message_index: int
    part_index: int | None
    line: int | None
    column: int | None
    optional: bool = False
    maybe_field: bool = False


def variables_of(template: Template) -> list[VariableUse]:
    """Every use of every variable, in the order of the text. Names that the template defines itself (loop variables,
    `set`, macros, built-in functions) are not variables. Raises `TemplateError` for a template beyond the limits.
    """
    check_size(template.messages)
    uses: list[VariableUse] = []
    for text in texts_of(template.messages):
        places = Places(text.source)
        for use in _uses_in(template.syntax, text.source):
            if not _is_field_of_item(use, template.variables):
                uses.append(_placed(use, text, places))
        if len(uses) > MAX_USES:
            raise TemplateError(TEMPLATE_TOO_LARGE, f"variables are used in more than {MAX_USES} places")
    for index, name in placeholders_of(template.messages):
        uses.append(VariableUse(name, "messages", index, None, None, None))
    # A name that is read outside of every section is a variable, so it is one inside of sections too.
    firm = {use.name for use in uses if not use.maybe_field} | template.variables.keys()
    uses = [
        replace(use, maybe_field=False, optional=False) if use.maybe_field and use.name in firm else use for use in uses
    ]
    return sorted(uses, key=lambda use: use.message_index)


def infer_contract(template: Template) -> dict[str, JsonObject]:
    """A first contract for the variables that the template uses and its contract doesn't know: `{"type",
    "required"}`.
    """
    inferred: dict[str, JsonObject] = {}
    for use in variables_of(template):
        if use.name in template.variables or use.maybe_field:
            continue
        declared = inferred.setdefault(use.name, {"type": use.type_hint, "required": True})
        declared["type"] = min(declared["type"], use.type_hint, key=_TELLING.index)
        if use.optional or use.type_hint == "messages":
            declared["required"] = False
    return inferred


def _placed(use: NameUse, text: Text, places: Places) -> VariableUse:
    line, column = places.of(use.offset)
    maybe_field = bool(use.sections)
    return VariableUse(
        use.name,
        use.type_hint,
        text.message_index,
        text.part_index,
        line,
        column,
        use.optional or maybe_field,
        maybe_field,
    )


def _is_field_of_item(use: NameUse, contract: Mapping[str, JsonObject]) -> bool:
    """Inside a section that is declared to have items, an undeclared name is taken for a field of the item."""
    return use.name not in contract and any(
        contract.get(section, {}).get("type") in ("array", "object") for section in use.sections
    )


def _uses_in(syntax: str, source: str) -> Sequence[NameUse]:
    if len(source) > _CACHED_CHARS:
        return _parse_uses(syntax, source)
    return _cached_uses(syntax, source)


def _parse_uses(syntax: str, source: str) -> tuple[NameUse, ...]:
    if syntax == "jinja":
        return tuple(jinja_names.uses_in(source))
    if syntax == "mustache":
        return tuple(_mustache_uses(mustache.parse(source, lenient=True), ()))
    return tuple(NameUse(found.name, found.offset, "string") for found in fstring.fields_of(source))


_cached_uses = lru_cache(maxsize=64)(_parse_uses)


def _mustache_uses(nodes: Iterable[mustache.Node], sections: tuple[str, ...]) -> Iterator[NameUse]:
    for node in nodes:
        if isinstance(node, str | mustache.Partial):
            continue
        # The implicit iterator has no name: it is the item itself.
        if node.path:
            yield NameUse(node.path[0], node.offset, _mustache_hint(node), sections=_around(node.path[0], sections))
        if isinstance(node, mustache.Section):
            inside = sections if node.inverted or not node.path else (*sections, node.path[0])
            yield from _mustache_uses(node.children, inside)


def _around(name: str, sections: tuple[str, ...]) -> tuple[str, ...]:
    # `{{#context}}Use this: {{context}}{{/context}}` asks whether there is a context; it isn't a list of contexts.
    return () if name in sections else sections


def _mustache_hint(node: mustache.Variable | mustache.Section) -> str:
    if len(node.path) > 1:
        return "object"
    if isinstance(node, mustache.Variable):
        return "string"
    if node.inverted:
        return "boolean"
    paths = [child.path for child in node.children if not isinstance(child, str | mustache.Partial)]
    if node.path in paths:
        return "string"
    return "array" if paths else "boolean"
