"""Rendering and checking: prepares the jobs for the gate and puts its answers back into messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .contract import messages_problem, resolve_variables
from .gate import GATE, Answer
from .includes import includes_of
from .names import variables_of
from .process import Job
from .sandbox.errors import INCLUDE, SYNTAX, TemplateError, error_from_json
from .template import (
    KINDS,
    SYNTAXES,
    JsonObject,
    Template,
    Text,
    check_size,
    is_placeholder,
    is_use,
    message_errors,
    placeholders_of,
    texts_of,
)


def render(template: Template, variables: Mapping[str, Any]) -> list[JsonObject]:
    """The messages of a template with its variables filled in: `[{"role": …, "content": …}]`; a text prompt is one
    user message. Placeholders are replaced by the messages of their variable; parts other than text are passed on
    untouched.

    Raises `TemplateError` (which limits there are: `sandbox/limits.py`), and its subclass `VariableError` when the
    variables don't fit the contract.
    """
    [rendered] = render_many([(template, variables)])
    if isinstance(rendered, TemplateError):
        raise rendered
    return rendered


def render_many(
    jobs: Sequence[tuple[Template, Mapping[str, Any]]],
) -> list[list[JsonObject] | TemplateError]:
    """`render` for many jobs at once, some forty times faster; a job that fails has its error in its place."""
    results: list[list[JsonObject] | TemplateError] = []
    prepared: list[tuple[int, _Prepared]] = []
    for index, (template, variables) in enumerate(jobs):
        try:
            prepared.append((index, _prepare(template, variables)))
            results.append([])
        except TemplateError as error:
            results.append(error)
    answers = GATE.run([job.job for _, job in prepared])
    for (index, job), answer in zip(prepared, answers, strict=True):
        results[index] = job.finish(answer)
    return results


def check_syntax(template: Template) -> list[TemplateError]:
    """What keeps the template from parsing, without variables: at most one error a text, each with its line."""
    try:
        _check_shape(template)
    except TemplateError as error:
        return [error]
    texts = list(texts_of(template.messages))
    _includes, errors = includes_of(template)
    answers = GATE.run([Job("check", template.syntax, [text.source], {}) for text in texts])
    for text, answer in zip(texts, answers, strict=True):
        if (found := _error_of(answer, [text])) is not None:
            errors.append(found)
    return errors


@dataclass(frozen=True, slots=True)
class _Prepared:
    template: Template
    texts: list[Text]
    values: dict[str, Any]
    job: Job

    def finish(self, answer: Answer) -> list[JsonObject] | TemplateError:
        if (error := _error_of(answer, self.texts)) is not None:
            return error
        rendered = {
            (text.message_index, text.part_index): new
            for text, new in zip(self.texts, () if isinstance(answer, TemplateError) else answer["texts"], strict=True)
        }
        messages: list[JsonObject] = []
        for index, message in enumerate(self.template.messages):
            if is_placeholder(message):
                messages += self.values[message["name"]]
            else:
                messages.append(_with_content(message, index, rendered))
        return messages


def _prepare(template: Template, variables: Mapping[str, Any]) -> _Prepared:
    _check_shape(template)
    for index, message in enumerate(template.messages):
        if is_use(message):
            raise TemplateError(INCLUDE, "the messages of another prompt were not put in", message_index=index)
    values = resolve_variables(template.variables, variables_of(template), variables)
    texts = list(texts_of(template.messages))
    histories = {}
    for index, name in placeholders_of(template.messages):
        histories[name] = values.get(name)
        if problem := messages_problem(histories[name]):
            raise TemplateError("variables", f"{name} {problem}", message_index=index)
    # The conversation so far goes around the template, not through it, unless a text asks for it too.
    sources = [text.source for text in texts]
    passed = {
        name: value
        for name, value in values.items()
        if name not in histories or any(name in source for source in sources)
    }
    return _Prepared(template, texts, values, Job("render", template.syntax, sources, passed))


def _check_shape(template: Template) -> None:
    """Raises `TemplateError` for what is no template, so that everything behind can rely on its shape."""
    if template.kind not in KINDS or template.syntax not in SYNTAXES:
        raise TemplateError(SYNTAX, f"unknown kind or syntax: {template.kind}, {template.syntax}")
    for index, message in enumerate(template.messages):
        if _is_object(message) and is_placeholder(message):
            if not isinstance(message.get("name"), str):
                raise TemplateError(SYNTAX, "the placeholder has no name", message_index=index)
            continue
        if is_use(message):
            # Its reference is `includes_of`'s question; a render finds none, since `compose` has put them in.
            continue
        for path, what in message_errors(message, role_required=template.kind == "chat"):
            raise TemplateError(SYNTAX, f"{path} {what}".strip(), message_index=index)
    check_size(template.messages)


def _is_object(value: object) -> bool:
    # Stored JSON may hold anything, whatever its type says.
    return isinstance(value, dict)


def _with_content(message: JsonObject, index: int, rendered: Mapping[tuple[int, int | None], str]) -> JsonObject:
    content = message.get("content")
    if isinstance(content, str):
        content = rendered[index, None]
    elif isinstance(content, list):
        content = [
            part | {"text": rendered[index, part_index]} if (index, part_index) in rendered else part
            for part_index, part in enumerate(content)
        ]
    return {"role": "user"} | message | {"content": content}


def _error_of(answer: Answer, texts: Sequence[Text]) -> TemplateError | None:
    if isinstance(answer, TemplateError):
        return answer
    if (fields := answer.get("error")) is None:
        return None
    error = error_from_json(fields)
    if error.message_index is not None:
        error.message_index = texts[error.message_index].message_index
    return error
