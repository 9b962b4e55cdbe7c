"""The spec of a prompt: the JSON that a version *means*. Its shape, its canonical form and its fingerprint.

A spec is `{"kind", "syntax", "messages", "parameters", "variables", "output_schema"}`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from .contract import TYPES, type_problem
from .includes import parse_reference
from .jinja_names import CONSTANTS, KEYWORDS
from .json_values import JsonBudget
from .sandbox.errors import TemplateError
from .sandbox.limits import MAX_MESSAGES, MAX_TEMPLATE_BYTES
from .template import KINDS, SYNTAXES, JsonObject, Template, is_placeholder, is_use, message_errors

MAX_VARIABLES = 200
MAX_NAME_CHARS = 100
# The whole spec as JSON. No smaller than a template, so that the shape is never the tighter limit.
MAX_SPEC_BYTES = MAX_TEMPLATE_BYTES

_KEYS = ("kind", "syntax", "messages", "parameters", "variables", "output_schema")
_VARIABLE_KEYS = ("type", "required", "default", "description", "example", "max_length", "untrusted")

# Parameters that we know, with the range that every provider accepts at most. Others are passed on as they are.
_NUMBERS: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_WHOLE_NUMBERS: dict[str, tuple[int, int]] = {
    "top_k": (1, 2**31 - 1),
    "max_tokens": (1, 2**31 - 1),
    "seed": (-(2**53) + 1, 2**53 - 1),
}


@dataclass(frozen=True, slots=True)
class SpecError:
    """One mistake in a spec. `path` leads to it with dots (`messages.0.role`), empty for the whole; `message` says
    what.
    """

    path: str
    message: str


def validate_spec(spec: Any) -> list[SpecError]:
    """Everything that is wrong with the shape of a spec, by path; empty for a good one. Whether the template parses
    is `check_syntax`'s question.
    """
    if not isinstance(spec, dict):
        return [SpecError("", "must be an object")]
    if problem := JsonBudget(MAX_SPEC_BYTES).problem(spec):
        return [SpecError("", problem)]
    errors = [SpecError(str(key), "is not part of a prompt") for key in spec if key not in _KEYS]
    errors += _one_of(spec, "kind", KINDS)
    errors += _one_of(spec, "syntax", SYNTAXES)
    errors += _messages(spec.get("messages"), spec.get("kind"))
    errors += _parameters(spec.get("parameters"))
    errors += _variables(spec.get("variables"))
    errors += _output_schema(spec.get("output_schema"))
    if not errors:
        try:
            canonical_json(spec)
        except rfc8785.CanonicalizationError as error:
            errors.append(SpecError("", f"cannot be written as canonical JSON: {error}"))
    return errors


def canonical_spec(spec: Mapping[str, Any]) -> JsonObject:
    """The normal form of a valid spec: all six keys, declared defaults made explicit or left out the same way each
    time, so that specs that mean the same are equal.
    """
    return {
        "kind": spec["kind"],
        "syntax": spec["syntax"],
        "messages": [_without_none(message) for message in spec["messages"]],
        "parameters": _canonical_parameters(spec.get("parameters") or {}),
        "variables": {name: _canonical_variable(declared) for name, declared in (spec.get("variables") or {}).items()},
        "output_schema": spec.get("output_schema"),
    }


def canonical_json(spec: Mapping[str, Any]) -> bytes:
    """The normal form as canonical JSON (RFC 8785), in UTF-8."""
    return rfc8785.dumps(canonical_spec(spec))


def sha256_of(spec: Mapping[str, Any]) -> str:
    """The SHA-256 of the canonical JSON, in hexadecimal. Equal exactly when the specs mean the same."""
    return hashlib.sha256(canonical_json(spec)).hexdigest()


def canonical_message_key(message: Mapping[str, Any]) -> bytes:
    """Equal for messages that mean the same."""
    return rfc8785.dumps(_without_none(message))


def template_of(spec: Mapping[str, Any]) -> Template:
    """The template of a spec."""
    return Template(spec["kind"], spec["syntax"], spec["messages"], spec.get("variables") or {})


def _without_none(fields: Mapping[str, Any]) -> JsonObject:
    return {key: value for key, value in fields.items() if value is not None}


def _canonical_parameters(parameters: Mapping[str, Any]) -> JsonObject:
    canonical = _without_none(parameters)
    stop = canonical.get("stop")
    if isinstance(stop, str):
        canonical["stop"] = [stop]
    elif stop == []:
        del canonical["stop"]
    return canonical


def _canonical_variable(declared: Mapping[str, Any]) -> JsonObject:
    canonical = {"type": "string", "required": True} | _without_none(declared)
    if not canonical.get("description"):
        canonical.pop("description", None)
    if not canonical.get("untrusted"):
        canonical.pop("untrusted", None)
    return canonical


def _one_of(spec: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> Iterator[SpecError]:
    if spec.get(key) not in choices:
        yield SpecError(key, f"must be one of {', '.join(choices)}")


def _messages(messages: Any, kind: Any) -> Iterator[SpecError]:
    if not isinstance(messages, list):
        yield SpecError("messages", "must be a list")
        return
    if not messages:
        yield SpecError("messages", "must have at least one message")
    if len(messages) > MAX_MESSAGES:
        yield SpecError("messages", f"must have at most {MAX_MESSAGES} messages")
        return
    if kind == "text":
        yield from _text_message(messages)
        return
    for index, message in enumerate(messages):
        path = f"messages.{index}"
        if isinstance(message, dict) and message.get("type") is not None:
            if is_placeholder(message):
                yield from _placeholder(path, message)
            elif is_use(message):
                yield from _use(path, message)
            else:
                yield SpecError(f"{path}.type", "must be placeholder or use, or left out")
        else:
            for below, what in message_errors(message):
                yield SpecError(f"{path}.{below}".rstrip("."), what)


def _text_message(messages: list[Any]) -> Iterator[SpecError]:
    if len(messages) > 1:
        yield SpecError("messages", "must be a single message in a text prompt")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            yield SpecError(f"messages.{index}.content", "must be text in a text prompt")
            continue
        for key, value in message.items():
            if key != "content" and value is not None:
                yield SpecError(f"messages.{index}.{key}", "must be left out in a text prompt")


def _placeholder(path: str, message: JsonObject) -> Iterator[SpecError]:
    if problem := _name_problem(message.get("name")):
        yield SpecError(f"{path}.name", problem)
    for key, value in message.items():
        if key not in ("type", "name") and value is not None:
            yield SpecError(f"{path}.{key}", "must be left out in a placeholder")


def _use(path: str, message: JsonObject) -> Iterator[SpecError]:
    try:
        parse_reference(str(message.get("prompt") or ""))
    except TemplateError as error:
        yield SpecError(f"{path}.prompt", error.message)
    for key, value in message.items():
        if key not in ("type", "prompt") and value is not None:
            yield SpecError(f"{path}.{key}", "must be left out where another prompt's messages are used")


def _name_problem(name: Any) -> str | None:
    if not isinstance(name, str) or not name.isidentifier():
        return "must be a name: letters, digits and underscores, not starting with a digit"
    if name in CONSTANTS or name in KEYWORDS:
        return f"'{name}' is a word of the template language"
    if len(name) > MAX_NAME_CHARS:
        return f"must have at most {MAX_NAME_CHARS} characters"
    return None


def _parameters(parameters: Any) -> Iterator[SpecError]:
    if parameters is None:
        return
    if not isinstance(parameters, dict):
        yield SpecError("parameters", "must be an object")
        return
    for key, value in parameters.items():
        path = f"parameters.{key}"
        if value is None:
            continue
        if key in _NUMBERS:
            low, high = _NUMBERS[key]
            if type_problem("number", value) or not low <= value <= high:
                yield SpecError(path, f"must be a number from {low:g} to {high:g}")
        elif key in _WHOLE_NUMBERS:
            least, most = _WHOLE_NUMBERS[key]
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                yield SpecError(path, f"must be a whole number from {least} to {most}")
        elif key == "stop":
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
                yield SpecError(path, "must be a text or a list of texts, none of them empty")


def _variables(variables: Any) -> Iterator[SpecError]:
    if variables is None:
        return
    if not isinstance(variables, dict):
        yield SpecError("variables", "must be an object")
        return
    if len(variables) > MAX_VARIABLES:
        yield SpecError("variables", f"must be at most {MAX_VARIABLES}")
        return
    for name, declared in variables.items():
        path = f"variables.{name}"
        if problem := _name_problem(name):
            yield SpecError(path, problem)
        elif not isinstance(declared, dict):
            yield SpecError(path, "must be an object")
        else:
            yield from _variable(path, declared)


def _variable(path: str, declared: JsonObject) -> Iterator[SpecError]:
    for key in declared:
        if key not in _VARIABLE_KEYS:
            yield SpecError(f"{path}.{key}", "is not part of a variable")
    type_name = declared.get("type") or "string"
    if type_name not in TYPES:
        yield SpecError(f"{path}.type", f"must be one of {', '.join(TYPES)}")
        return
    for key in ("required", "untrusted"):
        if not isinstance(declared.get(key, False), bool | None):
            yield SpecError(f"{path}.{key}", "must be true or false")
    if not isinstance(declared.get("description", ""), str | None):
        yield SpecError(f"{path}.description", "must be text")
    limit = declared.get("max_length")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        yield SpecError(f"{path}.max_length", "must be a whole number above 0")
        limit = None
    default = declared.get("default")
    if default is not None:
        if problem := type_problem(type_name, default):
            yield SpecError(f"{path}.default", problem)
        elif limit is not None and isinstance(default, str | list) and len(default) > limit:
            yield SpecError(f"{path}.default", "is longer than max_length")


def _output_schema(schema: Any) -> Iterator[SpecError]:
    if schema is None:
        return
    if not isinstance(schema, dict):
        yield SpecError("output_schema", "must be a JSON Schema object")
        return
    # Only specs that have a schema pay for the import.
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield SpecError(".".join(["output_schema", *map(str, error.absolute_path)]), error.message)
