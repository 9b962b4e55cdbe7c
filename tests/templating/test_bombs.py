"""Templates that try to use up time or memory: each ends with a clear error, soon, and the next works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from promptops.templating import (
    Syntax,
    Template,
    TemplateError,
    check_syntax,
    compose,
    lint,
    render,
    render_many,
    variables_of,
)
from promptops.templating.sandbox.limits import MAX_INPUT_BYTES, MAX_OUTPUT_BYTES

MAX_SECONDS = 2.5  # of the wall, next render included
MAX_GROWTH = 50 * 1024 * 1024

LOOPS = (
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"
)
DOUBLING = "{% set n = namespace(a='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}"

JINJA_BOMBS = {
    "deep loops": LOOPS,
    "wide format": "{{ '%0500000000d'|format(1) }}",
    "long join": "{{ range(99999)|join('a' * 5000) }}",
    "doubling": DOUBLING,
    "doubling, then length": DOUBLING + "{{ n.a|length }}",
    "recursive macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "branching macro": "{% macro m(d) %}{{ m(d) }}{{ m(d) }}{% endmacro %}{{ m(1) }}",
    "recursive loop": "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "repetition": "{{ 'a' * 2000000000 }}",
    "nested replace": "{% set a = 'a' * 9999 %}{{ a|replace('a', a)|replace('a', a) }}",
    "long output": "{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}",
    "wide indent": "{{ ('a\n' * 9999)|indent(99999) }}",
    "list doubling": "{% set n = namespace(a=[1, 2]) %}{% for i in range(60) %}{% set n.a = n.a + n.a %}{% endfor %}",
    "list of lists": "{% set n = namespace(a=[]) %}"
    "{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}",
    "power": "{{ 9 ** 9 ** 9 ** 9 }}",
    "capture doubling": "{% set a = 'x' * 999 %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 60,
    "sorted range": "{% for i in range(9999) %}{% set x = range(99999)|sort|list|reverse|list %}{% endfor %}",
    "signs": "{{ " + "-" * 100_000 + "1 }}",
    "attributes": "{{ x" + ".a" * 2_000 + " }}",
    "parentheses": "{{ " + "(" * 2_000 + "1" + ")" * 2_000 + " }}",
    "operators": "{{ 1"
    + " + 1" * 2_400
    + " }}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "blocks": "{% if 1 %}" * 10_000,
    "unclosed tags": "{{ a " * 100_000,
    "names": "{{ a.b.c }}" * 10_001,
    "many tags": "{{ 1 }}" * 100_000,
    "long tag": "{{ [" + "1," * 400_000 + "] }}",
    "long template": "x" * 100_000_000,
}


@contextmanager
def bounded(growth: int = MAX_GROWTH) -> Iterator[None]:
    """Fails when the block takes too long, or when this process grows too much at any moment in it."""
    before = _resident(reset_peak=True)
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    peak = _memory("VmHWM")
    assert seconds < MAX_SECONDS
    assert peak - before < growth


def _resident(*, reset_peak: bool) -> int:
    if reset_peak:
        with open("/proc/self/clear_refs", "w") as clear_refs:
            clear_refs.write("5")
    return _memory("VmRSS")


def _memory(field: str) -> int:
    """Bytes, from /proc/self/status."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) * 1024


def text(source: str, syntax: Syntax = "jinja", **contract: Any) -> Template:
    return Template("text", syntax, [{"content": source}], contract)


def assert_next_render_works() -> None:
    assert render(text("Hello {{ name }}"), {"name": "you"}) == [{"role": "user", "content": "Hello you"}]


@pytest.fixture(autouse=True)
def warm() -> None:
    assert_next_render_works()


@pytest.mark.parametrize("source", JINJA_BOMBS.values(), ids=JINJA_BOMBS.keys())
def test_it_stops_a_jinja_bomb(source: str) -> None:
    with bounded():
        with pytest.raises(TemplateError) as caught:
            render(text(source), {"x": {}, "a": {"b": {}}})
        assert_next_render_works()
    assert len(str(caught.value)) > 10
    assert caught.value.code != "unavailable"


@pytest.mark.parametrize("source", JINJA_BOMBS.values(), ids=JINJA_BOMBS.keys())
def test_it_survives_looking_at_a_bomb(source: str) -> None:
    # What the editor and the lint do with a template that nobody has rendered.
    with bounded():
        check_syntax(text(source))
        for look in (variables_of, lint):
            try:
                look(text(source))
            except TemplateError as error:
                assert error.code == "template_too_large"  # noqa: PT017


@pytest.mark.parametrize(
    "source",
    ["{{ a }}\n" * 9_000, "x" * 800_000 + "{% if a or a %}{% endif %}" * 4_900],
    ids=["lines", "statements behind a long text"],
)
def test_it_gives_advice_on_many_uses_soon(source: str) -> None:
    with bounded():
        lint(text(source, a={"untrusted": True}))


@pytest.mark.parametrize(("include", "count"), [("", 9_800), ("{{>a@1}}\n", 4_900)], ids=["alone", "with includes"])
def test_it_gives_advice_on_many_variables_soon(include: str, count: int) -> None:
    names = "".join(f"{include}{{{{b{number}}}}}\n" for number in range(count))
    spec = {"kind": "text", "syntax": "mustache", "messages": [{"content": names}], "variables": {}}
    with bounded():
        findings = compose(spec, {"a@1": {**spec, "messages": [{"content": "hello"}]}}).lint()
    undeclared = [found.line for found in findings if found.code == "undeclared_variable"]
    assert undeclared == [line * (1 + bool(include)) for line in range(1, count + 1)]


def test_it_puts_prompts_into_many_parts_soon() -> None:
    parts = [{"type": "text", "text": "{{>a@1}}"}] * 15_000
    spec = {"kind": "chat", "syntax": "mustache", "messages": [{"role": "user", "content": parts}], "variables": {}}
    included = {"kind": "text", "syntax": "mustache", "messages": [{"content": "hello"}]}
    with bounded():
        composed = compose(spec, {"a@1": included})
    assert composed.spec["messages"][0]["content"] == [{"type": "text", "text": "hello"}] * 15_000


def test_it_stops_nested_mustache_sections() -> None:
    source = "{{#a}}" * 8 + "x" + "{{/a}}" * 8
    with bounded():
        with pytest.raises(TemplateError, match="too much work"):
            render(text(source, "mustache"), {"a": [1] * 100})
        assert_next_render_works()


@pytest.mark.parametrize(
    "source",
    [
        "{{#a}}" * 10_000,
        "{{#a}}" + "x" * 10_000 + "{{/a}}",
        "{{#a}}{{big}}{{/a}}",
        " " * 900_000 + "{{#a}}{{/a}}" + "x" * 10_000 + "{{",
        "{{=<% %>=}}" + "<%a%>" * 9_000 + "<%",
        "{{!" * 100_000,
    ],
    ids=["open sections", "long text", "long value", "spaces", "delimiters", "open comments"],
)
def test_it_stops_a_mustache_bomb(source: str) -> None:
    with bounded():
        with pytest.raises(TemplateError):
            render(text(source, "mustache"), {"a": [1] * 50_000, "big": "y" * 1_000_000})
        assert_next_render_works()


@pytest.mark.parametrize("source", ["{" * 100_001, "{a" * 100_000, "{a}" * 100_000, "}" * 100_001], ids=lambda s: s[:3])
def test_it_stops_an_fstring_bomb(source: str) -> None:
    with bounded():
        with pytest.raises(TemplateError):
            render(text(source, "fstring"), {"a": "x"})
        assert_next_render_works()


@pytest.mark.parametrize("syntax", ["jinja", "mustache", "fstring"])
@pytest.mark.parametrize(
    "value",
    [
        "x" * 100_000_000,
        ["x" * 1_000] * 100_000,
        {"a": {"b": "中" * 50_000_000}},
        list(range(3_000_000)),
        "\0" * 1_000_000,
    ],
    ids=["text", "list", "nested", "numbers", "control characters"],
)
def test_it_refuses_a_variable_of_100_mb(syntax: Syntax, value: object) -> None:
    with bounded(growth=20 * 1024 * 1024):
        with pytest.raises(TemplateError, match=f"larger than {MAX_INPUT_BYTES} bytes"):
            render(text("{x}" if syntax == "fstring" else "{{ x }}", syntax), {"x": value})
        assert_next_render_works()


def test_it_refuses_a_variable_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with bounded(), pytest.raises(TemplateError, match="nested deeper"):
        render(text("{{ x }}"), {"x": loop})


@pytest.mark.parametrize("syntax", ["jinja", "mustache", "fstring"])
def test_it_takes_what_is_just_within_the_limits(syntax: Syntax) -> None:
    source = "{x}" if syntax == "fstring" else "{{ x }}"
    for value in (
        "x" * (MAX_INPUT_BYTES - 100),
        "中" * (MAX_INPUT_BYTES // 3 - 100),
        "😀" * (MAX_INPUT_BYTES // 4 - 100),
    ):
        with bounded():
            [message] = render(text(source, syntax), {"x": value})
        assert message["content"] == value
    many = [{"question": f"Is {i} even?", "answer": i % 2 == 0} for i in range(20_000)]
    with bounded():
        [message] = render(text("{x}" if syntax == "fstring" else "{{ x }}", syntax), {"x": many})
    assert 500_000 < len(message["content"]) < MAX_OUTPUT_BYTES


def test_it_answers_the_others_of_a_batch_with_a_bomb_in_it() -> None:
    good, bomb = text("{{ i }}"), text("{{ '%0500000000d'|format(i) }}")
    with bounded():
        results = render_many([(bomb if i in (3, 40) else good, {"i": i}) for i in range(50)])
    for i, result in enumerate(results):
        if i in (3, 40):
            assert isinstance(result, TemplateError)
            assert result.code == "memory_limit"
        else:
            assert result == [{"role": "user", "content": str(i)}]
