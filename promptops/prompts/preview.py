"""What the editor shows beside a prompt while it is written: the rendered messages, or what keeps them from rendering.

The content may be half-written: everything here copes with that, and says where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptops import templating
from promptops.accounts.models import Project
from promptops.prompts.advice import Advice, advice_on
from promptops.prompts.composition import Composition, Included, compose


@dataclass(frozen=True)
class Problem:
    """Something that has to be corrected.

    ``path`` is where in the content (``parameters.top_k``); ``message_index`` counts from 0, ``line`` and ``column``
    from 1; None where it has no such place.
    """

    text: str
    path: str = ""
    message_index: int | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class Preview:
    """``messages`` is None while a problem keeps the prompt from rendering.

    ``stand_ins`` are the variables without a value, which the messages show as ‹name›. ``variables`` are the names that
    the templates use, with what type each seems to have. ``includes`` are the versions that were put in.
    """

    messages: list[dict[str, Any]] | None = None
    problems: list[Problem] = field(default_factory=list)
    stand_ins: list[str] = field(default_factory=list)
    advice: list[Advice] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    includes: list[Included] = field(default_factory=list)


def preview_of(project: Project, content: Mapping[str, Any], values: Mapping[str, Any]) -> Preview:
    """Render a content as typed with the values to try, its includes put in. Raises nothing: what is wrong is in the
    answer, at its place in ``content``.
    """
    mistakes = templating.validate_spec(dict(content))
    problems = [_problem_of_shape(mistake) for mistake in mistakes]
    if any(mistake.path.partition(".")[0] in ("", "kind", "syntax", "messages", "variables") for mistake in mistakes):
        return Preview(problems=problems)
    written = templating.template_of(content)
    broken = templating.check_syntax(written)
    try:
        whole = Composition(templating.Composed(dict(content))) if broken else compose(project, content)
    except templating.TemplateError as error:
        broken, whole = [error], Composition(templating.Composed(dict(content)))
    composed, template = whole.composed, whole.template
    try:
        variables = variable_types(template)
        advice = advice_on(composed)
    except templating.TemplateError as error:
        return Preview(problems=[*problems, _problem_of_template(composed.placed(error))])
    if not broken and composed.references:
        broken = [composed.placed(error) for error in templating.check_syntax(template)]
    if broken:
        problems += [_problem_of_template(error) for error in broken]
        return Preview(problems=problems, advice=advice, variables=variables)
    try:
        messages, stand_ins = _render(template, values, variables)
    except templating.VariableError as error:
        problems += [Problem(text, path=f"variables.{name}") for name, text in error.errors.items()]
        return Preview(problems=problems, advice=advice, variables=variables)
    except templating.TemplateError as error:
        problems.append(_problem_of_template(composed.placed(error)))
        return Preview(problems=problems, advice=advice, variables=variables)
    return Preview(messages, problems, stand_ins, advice, variables, whole.includes)


def variable_types(template: templating.Template) -> dict[str, str]:
    """The variables that a template uses, in the order of the text, each with its declared or likely type."""
    likely = templating.infer_contract(template)
    types: dict[str, str] = {}
    for use in templating.variables_of(template):
        declared = template.variables.get(use.name) or likely.get(use.name)
        if declared is not None:  # None: a field of a section's item, perhaps
            types[use.name] = declared.get("type") or "string"
    return types


def _render(
    template: templating.Template, values: Mapping[str, Any], types: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Render; texts that have no value yet show their own name, so that there is something to see from the start."""
    try:
        return templating.render(template, values), []
    except templating.VariableError as error:
        missing = [name for name in error.errors if values.get(name) is None and types.get(name) == "string"]
        if not missing:
            raise
        return templating.render(template, {**values, **{name: f"‹{name}›" for name in missing}}), missing


def _problem_of_shape(mistake: templating.SpecError) -> Problem:
    parts = mistake.path.split(".")
    if parts[0] == "messages" and len(parts) > 1 and parts[1].isdecimal():
        below = parts[2] if len(parts) > 2 else ""
        return Problem(f"{below} {mistake.message}".strip(), path=mistake.path, message_index=int(parts[1]))
    return Problem(mistake.message, path=mistake.path)


def _problem_of_template(error: templating.TemplateError) -> Problem:
    path = "" if error.message_index is None else f"messages.{error.message_index}.content"
    return Problem(error.message, path, error.message_index, error.line, error.column)
