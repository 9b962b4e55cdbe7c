"""The `jinja` syntax, through MiniJinja.

Variables reach MiniJinja as *literals*, written into a `{% set %}` in front of the template on its own first line: so
everything a template can touch is one of MiniJinja's own values. (Its Python binding would pass a dict as a live
Python object, with methods such as `clear` and `pop`, and would look up undefined names as attributes of the context
dict.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import minijinja

from .errors import OUTPUT_TOO_LARGE, RENDER, STEP_LIMIT, SYNTAX, UNDEFINED, TemplateError, place_of
from .limits import JINJA_FUEL, MAX_OUTPUT_BYTES

# Names that MiniJinja's parser keeps for itself; a variable of this name could never be read.
RESERVED_NAMES = frozenset(["true", "True", "false", "False", "none", "None", "loop", "self"])

_CODES = {"SyntaxError": SYNTAX, "UndefinedError": UNDEFINED, "OutOfFuel": STEP_LIMIT}
_WHERE = re.compile(r" \(in [^()]*\)\Z")
_TAG = re.compile(r"\{[{%#]")


def environment() -> minijinja.Environment:
    """A MiniJinja environment without a loader, without escaping, and without functions that look outside."""
    env = minijinja.Environment(
        undefined_behavior="strict",
        auto_escape_callback=lambda _name: False,
        keep_trailing_newline=True,
        fuel=JINJA_FUEL,
        debug=True,
    )
    # It prints the engine's own state.
    env.remove_global("debug")
    return env


def render(env: minijinja.Environment, source: str, variables: Mapping[str, Any]) -> str:
    """The text of a template. Raises `TemplateError`."""
    prefix = _prefix(variables)
    try:
        text = env.render_str(prefix + source, "prompt")
    except minijinja.TemplateError as error:
        raise _translate(error, prefix, source) from None
    if len(text) > MAX_OUTPUT_BYTES:
        raise TemplateError(OUTPUT_TOO_LARGE, f"the rendered text is larger than {MAX_OUTPUT_BYTES} bytes")
    return text


def check(env: minijinja.Environment, source: str) -> None:
    """Raises `TemplateError` when the template does not parse."""
    try:
        env.undeclared_variables_in_str(source)
    except minijinja.TemplateError as error:
        raise _translate(error, "", source) from None


def function_names(env: minijinja.Environment) -> frozenset[str]:
    """Names that a template may use without a variable of that name."""
    return frozenset(env.globals)


def _prefix(variables: Mapping[str, Any]) -> str:
    return "".join(
        f"{{% set {name} = {_literal(value)} %}}"
        for name, value in variables.items()
        if name.isidentifier() and name not in RESERVED_NAMES
    )


def _literal(value: Any) -> str:
    # JSON is a subset of MiniJinja's expressions: it reads true, false and null's other name as they are, and its
    # strings know all of JSON's escapes.
    if value is None:
        return "none"
    if isinstance(value, list):
        return "[" + ",".join(map(_literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_literal(key)}:{_literal(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _translate(error: minijinja.TemplateError, prefix: str, source: str) -> TemplateError:
    code = _CODES.get(error.kind, RENDER)
    message = _WHERE.sub("", error.message)
    if code == STEP_LIMIT:
        message = "the template does too much work: loops or macros repeat too often"
    line, column = error.line, None
    if error.range is not None:
        offset = error.range[0] - len(prefix.encode())
        if offset >= 0:
            line, column = place_of(source, len(source.encode()[:offset].decode(errors="ignore")))
    return TemplateError(code, message, line=line, column=column)
