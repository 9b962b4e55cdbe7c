"""Prompt templates: three syntaxes behind one hardened gate.

    render(Template("text", "jinja", [{"content": "Summarise: {{ text }}"}]), {"text": "…"})

`jinja` (MiniJinja), `mustache` and `fstring` templates over JSON values. A template never reaches a Python object, a
file or the network; it runs in a process of its own with limits on time, memory and size, and every mistake is a
`TemplateError` with its place. Pure Python: no Django, no database. How it works: `docs/templates.md`.
"""

from .composition import Composed, compose, may_include
from .contract import VariableError, resolve_variables
from .differences import Breaking, FieldDiff, MessageDiff, SpecDiff, diff
from .includes import Include, Reference, includes_of, parse_reference
from .linting import Finding, lint
from .merging import Merge, MergeConflict, merge
from .names import VariableUse, infer_contract, variables_of
from .rendering import check_syntax, render, render_many
from .sandbox.errors import TemplateError
from .spec import SpecError, canonical_json, canonical_spec, sha256_of, template_of, validate_spec
from .template import KINDS, ROLES, SYNTAXES, JsonObject, Kind, Syntax, Template, is_use
from .words import Span, words_of

__all__ = [
    "KINDS",
    "ROLES",
    "SYNTAXES",
    "Breaking",
    "Composed",
    "FieldDiff",
    "Finding",
    "Include",
    "JsonObject",
    "Kind",
    "Merge",
    "MergeConflict",
    "MessageDiff",
    "Reference",
    "Span",
    "SpecDiff",
    "SpecError",
    "Syntax",
    "Template",
    "TemplateError",
    "VariableError",
    "VariableUse",
    "canonical_json",
    "canonical_spec",
    "check_syntax",
    "compose",
    "diff",
    "includes_of",
    "infer_contract",
    "is_use",
    "lint",
    "may_include",
    "merge",
    "parse_reference",
    "render",
    "render_many",
    "resolve_variables",
    "sha256_of",
    "template_of",
    "validate_spec",
    "variables_of",
    "words_of",
]
