"""The contract of a prompt's variables: which values it takes, and what stands in for those that were not given."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from .names import VariableUse
from .sandbox.errors import VARIABLES, TemplateError
from .sandbox.limits import MAX_DEPTH, MAX_INPUT_BYTES
from .template import JsonObject, message_errors

TYPES = ("string", "number", "integer", "boolean", "array", "object", "messages")

# What an optional variable without a default is. Numbers and booleans have no value that means "nothing".
_EMPTY: dict[str, Any] = {"string": "", "array": [], "object": {}, "messages": []}
_SLICE = 64 * 1024
# Beyond these, numbers change on their way through JSON readers.
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


class VariableError(TemplateError):
    """The given variables don't fit the contract. `errors` has one sentence for each variable that is wrong."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(VARIABLES, "; ".join(f"{name} {what}" for name, what in errors.items()))
        self.errors = dict(errors)

    def as_json(self) -> dict[str, Any]:
        return super().as_json() | {"errors": self.errors}


def resolve_variables(
    contract: Mapping[str, JsonObject], uses: Iterable[VariableUse], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The values that a template is rendered with: the given ones checked, the missing ones filled in.

    A declared variable that is not given (or null) takes its default; without one it is an error when required, else
    empty (`""`, `[]`, `{}`, null for numbers and booleans). A variable that the template uses and the contract
    doesn't know is required and may be of any type. Other given values are kept. Raises `VariableError` with
    everything that is wrong.
    """
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    budget = _Budget(MAX_INPUT_BYTES)
    for name, value in given.items():
        if what := budget.problem(value):
            errors[name] = what
        elif name not in contract:
            values[name] = value
    for name, declared in contract.items():
        if name not in errors:
            _resolve(name, declared, given.get(name), values, errors)
    for name, copes_with_absence, is_history in _undeclared(contract, uses):
        if name in given:
            continue
        if is_history:
            values[name] = []
        elif not copes_with_absence:
            errors[name] = "is required"
    if errors:
        raise VariableError(errors)
    return values


def type_problem(type_name: str, value: Any) -> str | None:
    """What is wrong with a value of a declared type; None when it fits."""
    match type_name:
        case "string":
            return None if isinstance(value, str) else "must be text"
        case "number":
            return None if isinstance(value, int | float) and not isinstance(value, bool) else "must be a number"
        case "integer":
            whole = (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and value.is_integer()
            )
            return None if whole else "must be a whole number"
        case "boolean":
            return None if isinstance(value, bool) else "must be true or false"
        case "array":
            return None if isinstance(value, list) else "must be a list"
        case "object":
            return None if isinstance(value, dict) else "must be an object"
        case "messages":
            return messages_problem(value)
    return None


def messages_problem(value: Any) -> str | None:
    """What is wrong with a value that is to be a list of messages; None when it is one."""
    if not isinstance(value, list):
        return "must be a list of messages"
    for index, message in enumerate(value):
        for path, what in message_errors(message):
            return f"message {index + 1}: {path} {what}".replace(":  ", ": ")
    return None


def _resolve(name: str, declared: JsonObject, value: Any, values: dict[str, Any], errors: dict[str, str]) -> None:
    type_name = declared.get("type") or "string"
    if value is None:
        value = declared.get("default")
        if value is None:
            if declared.get("required", True):
                errors[name] = "is required"
            else:
                values[name] = _EMPTY.get(type_name)
            return
    if what := type_problem(type_name, value):
        errors[name] = what
        return
    limit = declared.get("max_length")
    if limit is not None and isinstance(value, str | list) and len(value) > limit:
        unit = "characters" if isinstance(value, str) else "items"
        errors[name] = f"is longer than {limit} {unit} ({len(value)})"
        return
    values[name] = int(value) if type_name == "integer" else value


def _undeclared(contract: Mapping[str, JsonObject], uses: Iterable[VariableUse]) -> list[tuple[str, bool, bool]]:
    optional: dict[str, bool] = {}
    hints: dict[str, set[str]] = {}
    for use in uses:
        if use.name not in contract:
            # One place that copes with absence is enough: the template knows that the variable may be missing.
            optional[use.name] = optional.get(use.name, False) or use.optional
            hints.setdefault(use.name, set()).add(use.type_hint)
    return [(name, copes, hints[name] == {"messages"}) for name, copes in optional.items()]


class _Budget:
    """Refuses what is not JSON, or is too large, before anything is copied or serialised."""

    def __init__(self, size: int) -> None:
        self.limit = self.left = size

    def problem(self, value: Any) -> str | None:
        try:
            self.take(value, 0)
        except _RefusedError as refused:
            return str(refused)
        return None

    def take(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _RefusedError(f"is nested deeper than {MAX_DEPTH}")
        if isinstance(value, str):
            self.take_text(value)
        elif value is None or isinstance(value, bool):
            self.spend(5)
        elif isinstance(value, int):
            if not _MIN_INTEGER <= value <= _MAX_INTEGER:
                raise _RefusedError("is a whole number of more than 64 bits")
            self.spend(20)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise _RefusedError("is not a number that JSON knows")
            self.spend(24)
        elif isinstance(value, list):
            self.spend(2 + 2 * len(value))
            for item in value:
                self.take(item, depth + 1)
        elif isinstance(value, dict):
            self.spend(2 + 4 * len(value))
            for key, item in value.items():
                if not isinstance(key, str):
                    raise _RefusedError("has a key that is not text")
                self.take_text(key)
                self.take(item, depth + 1)
        else:
            raise _RefusedError("is not a JSON value")

    def take_text(self, text: str) -> None:
        # UTF-8 has at least a byte a character: a text of 100 MB ends here, without being copied.
        if len(text) > self.left:
            self.spend(len(text))
        for start in range(0, len(text), _SLICE):
            try:
                self.spend(len(json.dumps(text[start : start + _SLICE], ensure_ascii=False).encode()))
            except UnicodeEncodeError:
                raise _RefusedError("holds half of a surrogate pair, which is not text") from None

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            self.left = 0
            raise _RefusedError(f"makes the variables larger than {self.limit} bytes in all")


class _RefusedError(Exception):
    pass
