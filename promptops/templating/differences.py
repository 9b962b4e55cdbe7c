"""What changed between two versions of a prompt, for people to read and for callers to be warned."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .alignment import align
from .names import infer_contract
from .spec import canonical_spec, template_of
from .template import JsonObject, is_use
from .words import Span, diff_texts

Status = Literal["same", "changed", "added", "removed", "moved"]


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """A value that changed. `path` has dots (`temperature`, `properties.name.type`); a side that lacks it has None."""

    path: str
    status: Literal["changed", "added", "removed"]
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class MessageDiff:
    """One message in both versions, or in one of them.

    Indexes count from 0; the side that lacks the message has None. `spans` are the words of its content; a moved
    message can be changed too. `fields` are changes beside the content: the role, a name.
    """

    status: Status
    old_index: int | None
    new_index: int | None
    role: str | None
    spans: list[Span]
    fields: list[FieldDiff]


@dataclass(frozen=True, slots=True)
class Breaking:
    """A change that a caller must follow. `code` is variable_removed, variable_required, variable_type,
    variable_max_length, output_schema_removed or output_property_removed; `name` is the variable's or property's."""

    code: str
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class SpecDiff:
    """The difference of two specs. `settings` are kind and syntax."""

    settings: list[FieldDiff]
    messages: list[MessageDiff]
    parameters: list[FieldDiff]
    variables: list[FieldDiff]
    output_schema: list[FieldDiff]
    breaking: list[Breaking]

    @property
    def is_empty(self) -> bool:
        """Whether both specs mean the same."""
        return not (self.settings or self.parameters or self.variables or self.output_schema) and all(
            message.status == "same" for message in self.messages
        )

    def as_json(self) -> JsonObject:
        return asdict(self)


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> SpecDiff:
    """The difference of two valid specs: words of messages, keys of everything else."""
    before, after = canonical_spec(old), canonical_spec(new)
    return SpecDiff(
        settings=_fields(_settings(before), _settings(after)),
        messages=_messages(before["messages"], after["messages"]),
        parameters=_fields(before["parameters"], after["parameters"]),
        variables=_fields(before["variables"], after["variables"], depth=1),
        output_schema=_fields(before["output_schema"] or {}, after["output_schema"] or {}, depth=20),
        breaking=[*_breaking_variables(before, after), *_breaking_output(before, after)],
    )


def _messages(old: list[JsonObject], new: list[JsonObject]) -> list[MessageDiff]:
    kept, moved = align(old, new)
    old_of = {new_index: (old_index, False) for old_index, new_index in kept}
    old_of |= {new_index: (old_index, True) for old_index, new_index in moved}
    # Removed messages stand where they stood: behind the one that was before them and stayed.
    removed = sorted(set(range(len(old))) - {old_index for old_index, _ in old_of.values()})
    diffs: list[MessageDiff] = []
    for new_index, message in enumerate(new):
        if new_index not in old_of:
            diffs.append(_one_sided("added", None, new_index, message))
            continue
        old_index, is_moved = old_of[new_index]
        while removed and not is_moved and removed[0] < old_index:
            diffs.append(_one_sided("removed", removed[0], None, old[removed[0]]))
            removed.pop(0)
        diffs.append(_both_sides(old_index, new_index, old[old_index], message, is_moved=is_moved))
    return diffs + [_one_sided("removed", index, None, old[index]) for index in removed]


def _one_sided(
    status: Literal["added", "removed"], old_index: int | None, new_index: int | None, message: JsonObject
) -> MessageDiff:
    text = text_of(message)
    spans = [Span("insert" if status == "added" else "delete", text)] if text else []
    return MessageDiff(status, old_index, new_index, message.get("role"), spans, [])


def _both_sides(old_index: int, new_index: int, old: JsonObject, new: JsonObject, *, is_moved: bool) -> MessageDiff:
    spans = diff_texts(text_of(old), text_of(new))
    fields = _fields(_beside_content(old), _beside_content(new))
    status: Status = "moved" if is_moved else "same" if old == new else "changed"
    return MessageDiff(status, old_index, new_index, new.get("role"), spans, fields)


def text_of(message: Mapping[str, Any]) -> str:
    """The content of a message as one text: text parts as they are, other parts as JSON, each on lines of its own."""
    if is_use(message):
        return str(message.get("prompt", ""))
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(
        part["text"] if part.get("type") == "text" else json.dumps(part, ensure_ascii=False, sort_keys=True)
        for part in parts
    )


def _beside_content(message: JsonObject) -> JsonObject:
    return {key: value for key, value in message.items() if key not in ("content", "prompt")}


def _fields(old: JsonObject, new: JsonObject, depth: int = 0, prefix: str = "") -> list[FieldDiff]:
    """The keys that differ, going `depth` levels into objects that both sides have."""
    return list(_walk_fields(old, new, depth, prefix))


def _walk_fields(old: JsonObject, new: JsonObject, depth: int, prefix: str) -> Iterator[FieldDiff]:
    for key in [*old, *(key for key in new if key not in old)]:
        path = f"{prefix}{key}"
        if key not in new:
            yield FieldDiff(path, "removed", old[key], None)
        elif key not in old:
            yield FieldDiff(path, "added", None, new[key])
        elif depth and isinstance(old[key], dict) and isinstance(new[key], dict):
            yield from _walk_fields(old[key], new[key], depth - 1, f"{path}.")
        elif old[key] != new[key] or isinstance(old[key], bool) != isinstance(new[key], bool):
            yield FieldDiff(path, "changed", old[key], new[key])


def _settings(spec: JsonObject) -> JsonObject:
    return {key: spec[key] for key in ("kind", "syntax")}


def _interface(spec: JsonObject) -> dict[str, JsonObject]:
    """What callers see: every variable, declared or only used."""
    declared: dict[str, JsonObject] = spec["variables"]
    return infer_contract(template_of(spec)) | declared


def _is_required(declared: Mapping[str, Any]) -> bool:
    return bool(declared.get("required", True)) and declared.get("default") is None


def _breaking_variables(old: JsonObject, new: JsonObject) -> Iterator[Breaking]:
    before, after = _interface(old), _interface(new)
    for name, declared in before.items():
        if name not in after:
            yield Breaking("variable_removed", name, f"Variable '{name}' is no longer used: a value for it is ignored.")
            continue
        # A type that was only inferred was no promise.
        if name in old["variables"] and name in new["variables"]:
            yield from _breaking_declaration(name, declared, after[name])
    for name, declared in after.items():
        if _is_required(declared) and not (name in before and _is_required(before[name])):
            yield Breaking("variable_required", name, f"Variable '{name}' must be given now.")


def _breaking_declaration(name: str, old: JsonObject, new: JsonObject) -> Iterator[Breaking]:
    # Every integer is a number.
    if old["type"] != new["type"] and (old["type"], new["type"]) != ("integer", "number"):
        yield Breaking("variable_type", name, f"Variable '{name}' was {old['type']} and is {new['type']} now.")
    limit, old_limit = new.get("max_length"), old.get("max_length")
    if limit is not None and (old_limit is None or limit < old_limit):
        yield Breaking("variable_max_length", name, f"Variable '{name}' may be at most {limit} long now.")


def _breaking_output(old: JsonObject, new: JsonObject) -> Iterator[Breaking]:
    before, after = old["output_schema"], new["output_schema"]
    if before is None:
        return
    if after is None:
        yield Breaking("output_schema_removed", "", "The output no longer follows a schema.")
        return
    old_properties, new_properties = before.get("properties"), after.get("properties")
    if isinstance(old_properties, dict):
        for name in old_properties:
            if not isinstance(new_properties, dict) or name not in new_properties:
                yield Breaking("output_property_removed", name, f"The output no longer has '{name}'.")
