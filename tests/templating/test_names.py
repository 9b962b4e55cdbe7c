"""Which variables a template uses, and the contract that follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from promptops.templating import (
    Syntax,
    Template,
    VariableError,
    infer_contract,
    render,
    resolve_variables,
    variables_of,
)


def text(source: str, syntax: Syntax = "jinja", **contract: Any) -> Template:
    return Template("text", syntax, [{"content": source}], contract)


@pytest.mark.parametrize(
    ("syntax", "source", "names"),
    [
        ("jinja", "{{ a }} {{ b.c }} {{ a }}", ["a", "b", "a"]),
        ("jinja", "{% for item in items %}{{ item.x }}{{ loop.index }}{{ other }}{% endfor %}", ["items", "other"]),
        ("jinja", "{% set a = b %}{{ a }}", ["b"]),
        ("jinja", "{% macro m(p) %}{{ p }}{{ q }}{% endmacro %}{{ m(r) }}", ["q", "r"]),
        ("jinja", "{{ 'text with {{ braces }}' }}{# {{ comment }} #}{% raw %}{{ raw }}{% endraw %}", []),
        ("jinja", "{{ range(n) }}{{ x if y else z }}", ["n", "x", "y", "z"]),
        ("jinja", "{{ a }} {{ half written", ["a"]),
        ("mustache", "{{a}} {{#items}}{{name}}{{/items}} {{^no}}{{b.c}}{{/no}}", ["a", "items", "name", "no", "b"]),
        ("fstring", "{a} {{not}} {b}", ["a", "b"]),
        ("fstring", "{a} {b", ["a"]),
    ],
)
def test_it_finds_the_names_that_the_template_reads(syntax: Syntax, source: str, names: list[str]) -> None:
    assert [use.name for use in variables_of(text(source, syntax))] == names


def test_a_use_has_its_place() -> None:
    template = Template(
        "chat",
        "jinja",
        [
            {"role": "system", "content": "first"},
            {"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "one\n  {{ name }}"}]},
        ],
    )
    (use,) = variables_of(template)
    assert (use.name, use.message_index, use.part_index, use.line, use.column) == ("name", 1, 1, 2, 6)


def test_it_infers_types_and_what_is_optional() -> None:
    source = (
        "{{ name|upper }}{% for item in items %}{{ item }}{% endfor %}{{ user.name }}"
        "{% if flag is defined %}{{ flag }}{% endif %}{{ price * 2 }}{{ note|default('') }}"
    )
    template = Template("chat", "jinja", [{"role": "user", "content": source}, {"type": "placeholder", "name": "past"}])
    contract = infer_contract(template)
    assert {name: declared["type"] for name, declared in contract.items()} == {
        "name": "string",
        "items": "array",
        "user": "object",
        "flag": "boolean",
        "price": "number",
        "note": "string",
        "past": "messages",
    }
    assert {name for name, declared in contract.items() if not declared["required"]} == {"flag", "note", "past"}


def test_a_field_of_a_mustache_item_is_not_asked_for() -> None:
    contract = infer_contract(text("{{#items}}{{title}}{{/items}}{{title_of_all}}", "mustache"))
    assert set(contract) == {"items", "title_of_all"}
    assert contract["items"]["type"] == "array"


CONTRACT: dict[str, Any] = {
    "name": {"type": "string", "max_length": 5},
    "count": {"type": "integer", "default": 3},
    "share": {"type": "number", "required": False},
    "tags": {"type": "array", "required": False},
    "flag": {"type": "boolean", "required": False, "default": False},
}


def resolved(**given: Any) -> dict[str, Any]:
    return resolve_variables(CONTRACT, variables_of(text("{{ name }}")), given)


def test_it_fills_in_what_was_not_given() -> None:
    assert resolved(name="Ada") == {"name": "Ada", "count": 3, "share": None, "tags": [], "flag": False}
    assert resolved(name="Ada", count=None)["count"] == 3
    assert resolved(name="Ada", extra={"kept": 1})["extra"] == {"kept": 1}
    assert resolved(name="Ada", count=4.0)["count"] == 4


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, {"name": "is required"}),
        ({"name": 7}, {"name": "must be text"}),
        ({"name": "too long"}, {"name": "is longer than 5 characters (8)"}),
        ({"name": "Ada", "count": 1.5}, {"count": "must be a whole number"}),
        ({"name": "Ada", "count": True}, {"count": "must be a whole number"}),
        ({"name": "Ada", "tags": "a,b"}, {"tags": "must be a list"}),
        ({"count": "x", "flag": "yes"}, {"name": "is required", "count": "must be a whole number"}),
    ],
)
def test_it_tells_everything_that_does_not_fit_at_once(given: dict[str, Any], wrong: dict[str, str]) -> None:
    with pytest.raises(VariableError) as caught:
        resolved(**given)
    assert wrong.items() <= caught.value.errors.items()


def test_a_history_must_be_messages() -> None:
    template = Template("chat", "jinja", [{"type": "placeholder", "name": "past"}])
    for value in ("text", [1], [{"role": "narrator", "content": "x"}], [{"role": "user"}]):
        with pytest.raises(Exception, match=r"past|message"):
            render(template, {"past": value})
