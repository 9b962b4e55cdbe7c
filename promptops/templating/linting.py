"""What is likely to go wrong with a prompt, found without running it.

Findings are advice. Each rule is a plain observation of the text; where it can be wrong, its severity is "info".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .names import VariableUse, variables_of
from .sandbox.errors import Places
from .template import Template, is_placeholder, is_use, texts_of

Severity = Literal["error", "warning", "info"]

# Names of the output's format that a model understands, in the languages of the interface.
_FORMAT_WORDS = re.compile(r"\bjson\b|\bschema\b|\bformat\b|\bxml\b|\byaml\b|\bcsv\b|格式|结构化", re.IGNORECASE)

# Phrases that leave the model to guess what is wanted.
_VAGUE = re.compile(
    r"\betc\b\.?|\band so on\b|\bas needed\b|\bif appropriate\b|\bas appropriate\b|\bdo your best\b|\btry to\b"
    r"|\bsome kind of\b|\bor something\b|\bbe creative\b|\bmake it (?:nice|good|better)\b|等等|尽量|适当地|差不多",
    re.IGNORECASE,
)

# What sets a quoted text apart: an XML tag around it, or the same fence on both sides.
_OPENING_TAG = re.compile(r"<[A-Za-z][\w.-]*(?:\s[^<>]*)?>\s*\Z")
_CLOSING_TAG = re.compile(r"\s*</[A-Za-z]")
_FENCES = ("```", '"""', "'''", "---", "===", "###", "~~~", "<<<", "[[", '"', "“", "「", "«")
_CLOSES = {"<<<": ">>>", "[[": "]]", "“": "”", "「": "」", "«": "»"}
_AROUND = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation. `code` is stable; `subject` is what it is about (a variable, a phrase). The place is None
    where it concerns the whole prompt; `line` and `column` count from 1.
    """

    code: str
    severity: Severity
    message: str
    subject: str = ""
    message_index: int | None = None
    line: int | None = None
    column: int | None = None


def lint(
    template: Template, parameters: Mapping[str, Any] | None = None, output_schema: Mapping[str, Any] | None = None
) -> list[Finding]:
    """The findings for a prompt, by message. Mistakes of syntax are `check_syntax`'s; half-written templates are fine
    here. Raises `TemplateError` for a template beyond the limits.
    """
    uses = variables_of(template)
    findings = [
        *_variables(template, uses),
        *_untrusted(template, uses),
        *_messages(template),
        *_vague(template),
        *_output(template, parameters or {}, output_schema),
    ]
    return sorted(findings, key=lambda found: (found.message_index is None, found.message_index or 0, found.line or 0))


def _variables(template: Template, uses: list[VariableUse]) -> Iterator[Finding]:
    used = {use.name for use in uses}
    for name in template.variables:
        if name not in used:
            yield Finding("unused_variable", "warning", f"Variable '{name}' is declared but never used.", name)
    seen: set[str] = set()
    for use in uses:
        if use.name in template.variables or use.name in seen or use.maybe_field or use.type_hint == "messages":
            continue
        seen.add(use.name)
        # Who declared nothing gets by with inferred variables; who declared some has probably mistyped this one.
        yield _at(
            use,
            "undeclared_variable",
            "warning" if template.variables else "info",
            f"Variable '{use.name}' is used but not declared.",
        )


def _untrusted(template: Template, uses: list[VariableUse]) -> Iterator[Finding]:
    sources = {(text.message_index, text.part_index): text.source for text in texts_of(template.messages)}
    places: dict[tuple[int, int | None], Places] = {}
    for use in uses:
        if not template.variables.get(use.name, {}).get("untrusted") or use.line is None or use.column is None:
            continue
        role = template.messages[use.message_index].get("role")
        if role in ("system", "developer"):
            yield _at(
                use,
                "untrusted_in_instructions",
                "warning",
                f"Untrusted input '{use.name}' stands in a {role} message, which models obey.",
            )
        where = use.message_index, use.part_index
        source = sources[where]
        if where not in places:
            places[where] = Places(source)
        if _is_inserted_bare(template.syntax, source, places[where].offset(use.line, use.column)):
            yield _at(
                use,
                "undelimited_untrusted",
                "warning",
                f"Untrusted input '{use.name}' is not set apart: put it between tags such as "
                f"<{use.name}>…</{use.name}>, and say that it is material, not instructions.",
            )


def _messages(template: Template) -> Iterator[Finding]:
    has_text = False
    for index, message in enumerate(template.messages):
        if is_placeholder(message) or is_use(message):
            has_text = True
            continue
        content = message.get("content")
        if isinstance(content, str) and not content.strip():
            yield Finding("empty_message", "warning", "This message is empty.", message_index=index)
        elif message.get("role", "user") == "user" and content:
            has_text = True
    if not has_text:
        yield Finding("no_user_message", "warning", "There is no user message, and many models answer only to one.")


def _vague(template: Template) -> Iterator[Finding]:
    for text in texts_of(template.messages):
        if template.messages[text.message_index].get("role") == "assistant":
            continue
        for match in _VAGUE.finditer(text.source):
            line = text.source.count("\n", 0, match.start()) + 1
            column = match.start() - text.source.rfind("\n", 0, match.start())
            yield Finding(
                "vague_instruction",
                "info",
                f"“{match.group()}” leaves the model to guess; say what you expect.",
                match.group(),
                text.message_index,
                line,
                column,
            )


def _output(
    template: Template, parameters: Mapping[str, Any], output_schema: Mapping[str, Any] | None
) -> Iterator[Finding]:
    if not output_schema:
        return
    text = "\n".join(text.source for text in texts_of(template.messages))
    properties = output_schema.get("properties")
    names = properties if isinstance(properties, dict) else {}
    if not _FORMAT_WORDS.search(text) and not any(name and name in text for name in names):
        yield Finding(
            "missing_output_format",
            "warning",
            "There is an output schema, but no message names the format. Not every model is told the schema.",
        )
    temperature = parameters.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        yield Finding(
            "temperature_with_schema",
            "info",
            f"A temperature of {temperature:g} makes output that doesn't follow the schema more likely.",
            "temperature",
        )


def _is_inserted_bare(syntax: str, source: str, offset: int) -> bool:
    """Whether the tag at `offset` inserts the variable itself, with nothing around it that sets it apart."""
    opening, closing = ("{", "}") if syntax == "fstring" else ("{{", "}}")
    start = offset
    while start and source[start - 1] in " \t-+{&":
        start -= 1
    start = source.rfind(opening, start, offset)
    # A use in a statement, a condition or a section inserts nothing here.
    if start == -1 or (end := source.find(closing, offset)) == -1:
        return False
    before = source[max(0, start - _AROUND) : start].rstrip("{")
    after = source[end + len(closing) : end + _AROUND].lstrip("}")
    if _OPENING_TAG.search(before) and _CLOSING_TAG.match(after):
        return False
    # A fence may name its language: ```text
    left = re.sub(r"(```|~~~)[A-Za-z]*\s*\Z", r"\1", before).rstrip()
    right = after.lstrip()
    return not any(left.endswith(fence) and right.startswith(_CLOSES.get(fence, fence)) for fence in _FENCES)


def _at(use: VariableUse, code: str, severity: Severity, message: str) -> Finding:
    return Finding(code, severity, message, use.name, use.message_index, use.line, use.column)
