"""The contract of a prompt's variables: which values it takes, and what stands in for those that were not given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .json_values import JsonBudget
from .names import VariableUse
from .sandbox.errors import VARIABLES, TemplateError
from .sandbox.limits import MAX_INPUT_BYTES
from .template import JsonObject, message_errors

TYPES = ("string", "number", "integer", "boolean", "array", "object", "messages")

# What an optional variable without a default is. Numbers and booleans have no value that means "nothing".
_EMPTY: dict[str, Any] = {"string": "", "array": [], "object": {}, "messages": []}


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
    budget = JsonBudget(MAX_INPUT_BYTES)
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
