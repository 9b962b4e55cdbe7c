"""Rendering: three syntaxes, one gate; what comes out, and what no template can reach."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptops.templating import Syntax, Template, TemplateError, VariableError, check_syntax, render, render_many
from promptops.templating.gate import GATE, RenderGate
from promptops.templating.process import Job

SYNTAXES: tuple[Syntax, ...] = ("jinja", "mustache", "fstring")


def text(source: str, syntax: Syntax = "jinja", **contract: Any) -> Template:
    return Template("text", syntax, [{"content": source}], contract)


def rendered(source: str, syntax: Syntax = "jinja", **variables: Any) -> str:
    [message] = render(text(source, syntax), variables)
    content: str = message["content"]
    return content


@pytest.mark.parametrize(
    ("syntax", "source", "expected"),
    [
        ("jinja", "Hello {{ name }}!", "Hello Ada!"),
        (
            "jinja",
            "{% if items %}{% for i in items %}{{ loop.index }}. {{ i }}\n{% endfor %}{% endif %}",
            "1. a\n2. b\n",
        ),
        ("jinja", "{{ items|join(', ')|upper }}", "A, B"),
        ("jinja", "{{ missing|default('nothing') }}", "nothing"),
        ("jinja", "{{ {'a': 1}['a'] }}", "1"),
        ("jinja", "a\n", "a\n"),
        ("mustache", "Hello {{name}}, {{#items}}[{{.}}]{{/items}}{{^none}}none{{/none}}", "Hello Ada, [a][b]none"),
        ("mustache", "{{{name}}} {{&html}} {{html}}", "Ada <b> <b>"),
        ("mustache", "{{user.name}}{{! a comment }}{{user.nothing}}", "Ada"),
        ("mustache", "{{=<% %>=}}<% name %> {{ name }}", "Ada {{ name }}"),
        ("mustache", "a\n{{#user}}\nb {{name}}\n{{/user}}\nc", "a\nb Ada\nc"),
        ("fstring", "Hello {name}: {{literal}} {items}", 'Hello Ada: {literal} ["a", "b"]'),
    ],
)
def test_it_renders(syntax: Syntax, source: str, expected: str) -> None:
    values = {"name": "Ada", "items": ["a", "b"], "user": {"name": "Ada"}, "html": "<b>", "none": None}
    assert rendered(source, syntax, **values) == expected


def test_it_inserts_the_history_where_the_placeholder_stands() -> None:
    template = Template(
        "chat",
        "jinja",
        [
            {"role": "system", "content": "Be {{ tone }}."},
            {"type": "placeholder", "name": "history"},
            {"role": "user", "content": "{{ question }}"},
        ],
    )
    history = [{"role": "user", "content": "Hi {{ tone }}"}, {"role": "assistant", "content": "Hello"}]
    messages = render(template, {"tone": "kind", "question": "Why?", "history": history})
    # What a person wrote into the conversation is material, not a template.
    assert messages == [{"role": "system", "content": "Be kind."}, *history, {"role": "user", "content": "Why?"}]
    assert len(render(template, {"tone": "kind", "question": "Why?"})) == 2


def test_it_renders_the_text_parts_and_leaves_the_others() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/{{ x }}.png"}}
    message = {"role": "user", "content": [{"type": "text", "text": "See {{ x }}"}, image]}
    assert render(Template("chat", "jinja", [message]), {"x": "this"}) == [
        {"role": "user", "content": [{"type": "text", "text": "See this"}, image]}
    ]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "value", ["{{ 7 * 7 }}", "{7}", "{% raw %}", "\\", '"', "'", "{#", "\n\r\t", "中文 🎉", "</x>"]
)
def test_a_value_is_never_a_template(syntax: Syntax, value: str) -> None:
    source = "<{x}>" if syntax == "fstring" else "<{{ x }}>"
    assert rendered(source, syntax, x=value) == f"<{value}>"


@pytest.mark.parametrize(
    "source",
    [
        "{{ name.__class__ }}",
        "{{ name.__class__.__mro__ }}",
        "{{ name|attr('__class__') }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ record.clear() }}",
        "{{ record.pop('a') }}",
        "{{ self.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'base' %}",
        "{{ open('/etc/passwd') }}",
        "{{ debug() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ environ }}",
    ],
)
def test_no_template_reaches_an_object_a_file_or_a_process(source: str) -> None:
    with pytest.raises(TemplateError):
        rendered(source, name="Ada", record={"a": 1})


@pytest.mark.parametrize("source", ["{x.y}", "{x[0]}", "{x!r}", "{x:>10}", "{0}", "{}", "{x", "x}", "{x + 1}"])
def test_fstrings_have_names_and_nothing_else(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(source, "fstring", x="value")
    assert caught.value.code == "syntax"
    assert caught.value.line == 1


@pytest.mark.parametrize("source", ["{{> partial}}", "{{#a}}", "{{/a}}", "{{#a}}{{/b}}", "{{", "{{.}}", "{{a b}}"])
def test_mustache_says_what_it_refuses(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        rendered(source, "mustache", a=[1])
    assert caught.value.code == "syntax"


def test_mustache_reads_fields_of_json_and_never_attributes() -> None:
    assert rendered("{{a.__class__}}{{a.keys}}{{s.upper}}", "mustache", a={"x": 1}, s="text") == ""


@pytest.mark.parametrize(
    ("syntax", "source", "line", "column"),
    [
        ("jinja", "first\n{{ missing }}", 2, 4),
        ("jinja", "a\nb\n  {{ open", 3, None),
        ("jinja", "{% for %}", 1, None),
        ("fstring", "first\n  {missing}", 2, 4),
        ("mustache", "first\nä {{/open}}", 2, None),
    ],
)
def test_an_error_says_where_it_is(syntax: Syntax, source: str, line: int, column: int | None) -> None:
    template = Template("chat", syntax, [{"role": "system", "content": "fine"}, {"role": "user", "content": source}])
    with pytest.raises(TemplateError) as caught:
        render(template, {})
    error = caught.value
    if isinstance(error, VariableError):  # found before rendering: by name instead of place
        assert "missing" in error.errors
        return
    assert (error.message_index, error.line) == (1, line)
    assert column is None or error.column == column
    assert str(error).endswith(f"(message 2, line {line})")


def test_a_variable_without_a_value_is_an_error_and_not_an_empty_text() -> None:
    for syntax in ("jinja", "fstring"):
        source = "{name}" if syntax == "fstring" else "{{ name }}"
        with pytest.raises(VariableError) as caught:
            rendered(source, syntax)
        assert caught.value.errors == {"name": "is required"}


def test_checking_finds_one_error_a_message_without_any_values() -> None:
    template = Template(
        "chat",
        "jinja",
        [
            {"role": "system", "content": "{% if a %}"},
            {"role": "user", "content": "{{ fine }}"},
            {"role": "user", "content": "\n{{ open"},
        ],
    )
    assert [(error.message_index, error.code) for error in check_syntax(template)] == [(0, "syntax"), (2, "syntax")]
    assert check_syntax(text("{{ anything.at_all }}")) == []


def test_many_renders_answer_in_order_each_with_its_own_error() -> None:
    jobs = [(text("{{ n }}" if n % 3 else "{{ 1 // 0 }}"), {"n": n}) for n in range(500)]
    results = render_many(jobs)
    for n, result in enumerate(results):
        if n % 3:
            assert result == [{"role": "user", "content": str(n)}]
        else:
            assert isinstance(result, TemplateError)


def test_threads_share_the_gate() -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for repeat in range(30):
            value = f"{number}-{repeat}"
            if rendered("{{ x }}", x=value) != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_gets_processes_of_its_own() -> None:
    assert rendered("{{ x }}", x="parent") == "parent"
    child = os.fork()
    if child == 0:
        ok = rendered("{{ x }}", x="child") == "child"
        GATE.close()
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert rendered("{{ x }}", x="parent again") == "parent again"


def test_the_render_process_knows_no_secrets() -> None:
    gate = RenderGate(processes=1)
    try:
        [answer] = gate.run([Job("render", "jinja", ["{{ 1 }}"], {})])
        assert answer == {"texts": ["1"]}
        (process,) = gate._live
        with open(f"/proc/{process._popen.pid}/environ", "rb") as environment:
            names = {entry.partition(b"=")[0] for entry in environment.read().split(b"\0") if entry}
        assert names == {b"MALLOC_ARENA_MAX"}
    finally:
        gate.close()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FRAGMENTS = st.lists(
    st.sampled_from(
        ["{{", "}}", "{%", "%}", "{#", "#}", "{", "}", " x ", "x", ".y", "|", "#", "^", "/", "if ", "for ", "\n"]
    )
    | st.text(max_size=6),
    max_size=24,
).map("".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(syntax=st.sampled_from(SYNTAXES), source=FRAGMENTS, value=JSON)
def test_whatever_is_typed_it_renders_or_says_why(syntax: Syntax, source: str, value: Any) -> None:
    try:
        check_syntax(text(source, syntax))
        [message] = render(text(source, syntax), {"x": value, "y": value})
    except TemplateError as error:
        assert error.code not in ("unavailable", "memory_limit", "time_limit"), error  # noqa: PT017
    else:
        assert isinstance(message["content"], str)


@settings(max_examples=100, deadline=None)
@given(value=JSON)
def test_every_json_value_arrives_in_jinja_as_it_was_given(value: Any) -> None:
    try:
        assert json.loads(rendered("{{ x|tojson }}", x=value)) == value
    except TemplateError as error:
        # A lone surrogate is not text, and nesting has a limit.
        assert "surrogate" in str(error) or "nested" in str(error)  # noqa: PT017
