"""Advice on a prompt that nobody has run."""

from __future__ import annotations

from typing import Any

import pytest

from promptops.templating import Syntax, Template, lint


def codes(
    *texts: str, syntax: Syntax = "jinja", schema: Any = None, parameters: Any = None, **contract: Any
) -> list[str]:
    roles = ["system", "user"] if len(texts) > 1 else ["user"]
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    return [found.code for found in lint(Template("chat", syntax, messages, contract), parameters, schema)]


def test_a_good_prompt_has_no_findings() -> None:
    assert (
        codes(
            "Summarise the letter in two sentences. Answer as JSON with the key summary.",
            "<letter>\n{{ letter }}\n</letter>",
            schema={"type": "object", "properties": {"summary": {"type": "string"}}},
            letter={"type": "string", "untrusted": True},
        )
        == []
    )


@pytest.mark.parametrize(
    ("arguments", "contract", "code"),
    [
        (["Say {{ a }}"], {"a": {}, "b": {}}, "unused_variable"),
        (["Say {{ a }} and {{ typo }}"], {"a": {}}, "undeclared_variable"),
        (["You obey {{ input }}.", "go"], {"input": {"untrusted": True}}, "untrusted_in_instructions"),
        (["Read {{ input }} now"], {"input": {"untrusted": True}}, "undelimited_untrusted"),
        (["   "], {}, "empty_message"),
        (["Improve this, try to be short, etc."], {}, "vague_instruction"),
    ],
)
def test_it_finds(arguments: list[str], contract: dict[str, Any], code: str) -> None:
    assert code in codes(*arguments, **contract)


@pytest.mark.parametrize(
    "around",
    [
        "<input>{{ input }}</input>",
        "```\n{{ input }}\n```",
        "```text\n{{ input }}\n```",
        '"""{{ input }}"""',
        "“{{ input }}”",
    ],
)
def test_input_that_is_set_apart_is_fine(around: str) -> None:
    assert "undelimited_untrusted" not in codes(f"Read:\n{around}", input={"untrusted": True})


def test_a_schema_that_no_message_mentions_is_told() -> None:
    schema = {"type": "object", "properties": {"label": {"type": "string"}}}
    assert "missing_output_format" in codes("Judge the mood.", schema=schema)
    assert "missing_output_format" not in codes("Judge the mood. Answer with a label.", schema=schema)
    assert "temperature_with_schema" in codes("JSON please", schema=schema, parameters={"temperature": 1.5})


def test_a_finding_has_its_place() -> None:
    (found,) = lint(Template("chat", "jinja", [{"role": "user", "content": "One.\nTwo etc. three"}]))
    assert (found.message_index, found.line, found.column, found.subject) == (0, 2, 5, "etc.")
