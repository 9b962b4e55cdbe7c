"""Prompt templates: three syntaxes behind one hardened gate.

    render(Template("text", "jinja", [{"content": "Summarise: {{ text }}"}]), {"text": "…"})

`jinja` (MiniJinja), `mustache` and `fstring` templates over JSON values. A template never reaches a Python object, a
file or the network; it runs in a process of its own with limits on time, memory and size, and every mistake is a
`TemplateError` with its place. Pure Python: no Django, no database. How it works: `docs/templating.md`.
"""

from .contract import VariableError, resolve_variables
from .names import VariableUse, infer_contract, variables_of
from .rendering import check_syntax, render, render_many
from .sandbox.errors import TemplateError
from .template import KINDS, ROLES, SYNTAXES, JsonObject, Template

__all__ = [
    "KINDS",
    "ROLES",
    "SYNTAXES",
    "JsonObject",
    "Template",
    "TemplateError",
    "VariableError",
    "VariableUse",
    "check_syntax",
    "infer_contract",
    "render",
    "render_many",
    "resolve_variables",
    "variables_of",
]
