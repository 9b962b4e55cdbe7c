"""Prompts inside prompts: what an include means, in each syntax, and what it never does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptops.templating import Template, TemplateError, check_syntax, compose, includes_of, render, variables_of

JINJA = '{% include "greeting@production" %}'
MUSTACHE = "{{> greeting@production}}"


def spec(*texts: str, kind: str = "chat", syntax: str = "jinja", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text} if kind == "chat" else {"content": text} for text in texts]
    return {"kind": kind, "syntax": syntax, "messages": messages, "variables": {}, **more}


def text(content: str, syntax: str = "jinja", **more: Any) -> dict[str, Any]:
    return spec(content, kind="text", syntax=syntax, **more)


def rendered(outer: dict[str, Any], sources: dict[str, Any], **variables: Any) -> list[str]:
    return [message["content"] for message in render(compose(outer, sources).template, variables)]


@pytest.mark.parametrize(("syntax", "include"), [("jinja", JINJA), ("mustache", MUSTACHE)])
def test_an_include_is_the_text_of_the_other_prompt_with_the_variables_of_this_one(syntax: str, include: str) -> None:
    sources = {"greeting@production": text("Dear {{ name }},", syntax)}
    assert rendered(spec(f"{include} welcome.", syntax=syntax), sources, name="Ada") == ["Dear Ada, welcome."]


@pytest.mark.parametrize("syntax", ["jinja", "mustache", "fstring"])
def test_a_use_message_becomes_the_messages_of_a_chat_prompt(syntax: str) -> None:
    name = "{name}" if syntax == "fstring" else "{{name}}"
    outer = spec("Now answer.", syntax=syntax)
    outer["messages"].insert(0, {"type": "use", "prompt": "rules@3"})
    inner = {**spec(f"Hello {name}", "And?", syntax=syntax)}
    inner["messages"].append({"type": "placeholder", "name": "history"})

    composed = compose(outer, {"rules@3": inner})
    messages = render(composed.template, {"name": "Ada", "history": [{"role": "assistant", "content": "Hm"}]})

    assert [message["content"] for message in messages] == ["Hello Ada", "And?", "Hm", "Now answer."]
    assert composed.references == ["rules@3"]


def test_an_fstring_text_has_no_includes() -> None:
    assert includes_of(Template("chat", "fstring", [{"role": "user", "content": "{> a} {{% include 'a@1' %}}"}])) == (
        [],
        [],
    )


def test_includes_go_on_inside_of_includes_and_loops() -> None:
    sources = {
        "a@production": text('<{% include "b@2" %}>'),
        "b@2": text("{{ item }}"),
    }
    outer = spec('{% for item in items %}{% include "a@production" %}{% endfor %}')
    composed = compose(outer, sources)

    assert composed.references == ["a@production", "b@2"]
    assert [one["content"] for one in render(composed.template, {"items": ["x", "y"]})] == ["<x><y>"]
    assert {use.name for use in variables_of(composed.template)} == {"items"}


def test_variables_are_declared_as_the_included_prompts_do_unless_this_one_does() -> None:
    sources = {
        "greeting@production": text(
            "{{ name }} {{ shop }}", variables={"name": {"type": "object"}, "shop": {"default": "Paper & Pen"}}
        )
    }
    composed = compose(spec(JINJA, variables={"name": {"type": "string"}}), sources)

    assert composed.spec["variables"] == {"name": {"type": "string"}, "shop": {"default": "Paper & Pen"}}
    assert [one["content"] for one in render(composed.template, {"name": "Ada"})] == ["Ada Paper & Pen"]


def test_what_an_included_text_sets_stays_inside_of_it() -> None:
    sources = {"greeting@production": text("{% set name = 'Eve' %}Dear {{ name }}")}
    assert rendered(spec(f"{JINJA}, {{{{ name }}}}"), sources, name="Ada") == ["Dear Eve, Ada"]


def test_white_space_is_trimmed_where_the_include_says_so_and_nowhere_else() -> None:
    sources = {"greeting@production": text(" - hello - "), "trim@1": text("{%- if true %} x {% endif -%}")}
    assert rendered(spec('a \n{%- include "greeting@production" -%}\n b'), sources) == ["a - hello - b"]
    assert rendered(spec('a {% include "trim@1" %} b'), sources) == ["a  x  b"]


@pytest.mark.parametrize(
    ("syntax", "outer", "inner", "expected"),
    [
        ("jinja", '{% include "x@1" %}{ a }}', "brace {", "brace {{ a }}"),
        ("jinja", '{% include "x@1" %}% if %}', "brace {", "brace {% if %}"),
        ("mustache", "{{> x@1}}{a}}", "brace {", "brace {{a}}"),
        ("mustache", "{{> x@1}} {{a}}", "{{=<% %>=}}<%a%> {{a}}", "1 {{a}} 1"),
    ],
)
def test_the_tags_of_both_texts_stay_apart(syntax: str, outer: str, inner: str, expected: str) -> None:
    sources = {"x@1": text(inner, syntax)}
    assert rendered(spec(outer, syntax=syntax), sources, a="1") == [expected]


@pytest.mark.parametrize(
    ("syntax", "source", "line", "column"),
    [
        ("jinja", "\n {% include name %}", 2, 2),
        ("jinja", '{% include "greeting@production" ignore missing %}', 1, 1),
        ("jinja", '{% include ["a@1", "b@1"] %}', 1, 1),
        ("jinja", '{% include "a@" ~ "1" %}', 1, 1),
        ("jinja", '{% include "../x@1" %}', 1, 1),
        ("jinja", '{% include "/etc/passwd" %}', 1, 1),
        ("jinja", '{% include "a\\u0040production" %}', 1, 1),
        ("jinja", '{% include "greeting" %}', 1, 1),
        ("jinja", '{% include "greeting@latest" %}', 1, 1),
        ("jinja", '{% include "greeting@0" %}', 1, 1),
        ("jinja", '{% import "a@1" as b %}', 1, 1),
        ("jinja", '{% from "a@1" import b %}', 1, 1),
        ("jinja", '{% extends "a@1" %}', 1, 1),
        ("mustache", "x\n{{> ../x@1}}", 2, 1),
        ("mustache", "{{> greeting}}", 1, 1),
        ("mustache", "{{> /etc/passwd}}", 1, 1),
        ("mustache", "{{=<% %>=}}<%> greeting@production%>", 1, 12),
        ("mustache", "{{> *dynamic}}", 1, 1),
    ],
)
def test_anything_but_a_constant_reference_is_a_mistake_with_its_place(
    syntax: str, source: str, line: int, column: int
) -> None:
    template = Template("chat", syntax, [{"role": "user", "content": "fine"}, {"role": "user", "content": source}])  # type: ignore[arg-type]
    errors = [(error.code, error.message_index, error.line, error.column) for error in check_syntax(template)]
    assert errors[0] == ("syntax", 1, line, column)
    with pytest.raises(TemplateError):
        rendered(spec("fine", source, syntax=syntax), {})


def test_an_include_in_a_comment_or_in_raw_text_is_none() -> None:
    source = f"{{# {JINJA} #}}{{% raw %}}{JINJA}{{% endraw %}}"
    assert rendered(spec(source), {}) == [JINJA]


@pytest.mark.parametrize(("syntax", "include"), [("jinja", '{% include "file@1" %}'), ("mustache", "{{> file@1}}")])
def test_the_render_process_loads_nothing(syntax: str, include: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file@1").write_text("from the disk")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TemplateError) as refused:
        render(Template("chat", syntax, [{"role": "user", "content": include}]), {})  # type: ignore[arg-type]
    assert "from the disk" not in str(refused.value)
    with pytest.raises(TemplateError) as missing:
        compose(spec(include, syntax=syntax), {})
    assert (missing.value.code, missing.value.message_index, missing.value.line) == ("include", 0, 1)


def test_a_use_message_that_was_not_put_in_is_not_sent() -> None:
    with pytest.raises(TemplateError, match="not put in"):
        render(Template("chat", "jinja", [{"type": "use", "prompt": "rules@3"}]), {})


@pytest.mark.parametrize(
    ("outer", "source", "says"),
    [
        (spec(JINJA), text("x", "mustache"), "written in mustache"),
        (spec(JINJA), spec("x"), "is a chat prompt"),
        ({**spec("x"), "messages": [{"type": "use", "prompt": "greeting@production"}]}, text("x"), "is a text prompt"),
    ],
)
def test_what_does_not_fit_together_is_refused(outer: dict[str, Any], source: dict[str, Any], says: str) -> None:
    with pytest.raises(TemplateError, match=says) as refused:
        compose(outer, {"greeting@production": source})
    assert refused.value.message_index == 0


def test_cycles_are_refused_with_the_way() -> None:
    sources = {
        "a@production": text('{% include "b@production" %}'),
        "b@production": text('{% include "a@production" %}'),
    }
    with pytest.raises(TemplateError, match="a@production → b@production → a@production") as refused:
        compose(spec('one\ntwo {% include "a@production" %}'), sources)
    assert (refused.value.code, refused.value.line, refused.value.column) == ("include", 2, 5)


def chain(length: int) -> dict[str, Any]:
    """x1 includes x2 and so on; the last one is plain."""
    sources = {f"x{n}@1": text(f'{n}{{% include "x{n + 1}@1" %}}') for n in range(1, length)}
    return sources | {f"x{length}@1": text(str(length))}


def test_ten_prompts_deep_is_allowed_and_eleven_is_not() -> None:
    assert rendered(spec('{% include "x1@1" %}'), chain(10)) == ["12345678910"]
    with pytest.raises(TemplateError, match="nested deeper than 10"):
        compose(spec('{% include "x1@1" %}'), chain(11))
    # Also where the deep one was put in before, nearer to the top.
    with pytest.raises(TemplateError, match="nested deeper than 10"):
        compose(spec('{% include "x2@1" %}{% include "x1@1" %}'), chain(11))


@pytest.mark.parametrize("leaf", ["", "x" * 100])
def test_the_limits_hold_for_the_whole(leaf: str) -> None:
    """Ten levels of ten thousand includes each are a number with forty digits."""
    many = 2_000
    sources = {f"x{n}@1": text(f'{{% include "x{n + 1}@1" %}}' * many) for n in range(1, 10)}
    sources["x10@1"] = text(leaf)
    if leaf:
        with pytest.raises(TemplateError, match="larger than"):
            compose(spec('{% include "x1@1" %}'), sources)
    else:
        assert rendered(spec('{% include "x1@1" %}'), sources) == [""]


def test_a_bomb_in_an_included_prompt_ends_as_one_in_the_prompt_itself() -> None:
    bomb = text("{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}")
    with pytest.raises(TemplateError) as ended:
        rendered(spec(JINJA), {"greeting@production": bomb})
    assert ended.value.code in ("step_limit", "time_limit")


def test_too_many_messages_are_refused() -> None:
    inner = spec(*["x"] * 150)
    outer = {**spec(), "messages": [{"type": "use", "prompt": "rules@1"}] * 2}
    with pytest.raises(TemplateError, match="more than 200 messages") as refused:
        compose(outer, {"rules@1": inner})
    assert refused.value.message_index == 1


def test_a_mistake_in_an_included_text_is_shown_at_the_include() -> None:
    sources = {"greeting@production": text("1\n2\n{{ missing.field.deep }}"), "rules@1": spec("{{ gone }}")}
    outer = spec("first", f"one\ntwo {JINJA}\n{{{{ wrong.x.y }}}}")
    composed = compose(outer, sources)
    with pytest.raises(TemplateError) as found:
        render(composed.template, {"missing": {}, "wrong": {"x": {"y": 1}}})
    placed = composed.placed(found.value)
    assert (placed.message_index, placed.line, placed.column) == (1, 2, 5)
    assert "greeting@production" in placed.message

    with pytest.raises(TemplateError) as own:
        render(composed.template, {"missing": {"field": {"deep": 1}}, "wrong": {}})
    assert (composed.placed(own.value).message_index, composed.placed(own.value).line) == (1, 3)
    assert "greeting@production" not in composed.placed(own.value).message


def test_places_behind_a_used_prompt_count_the_messages_of_this_one() -> None:
    outer = {
        **spec("one\n{{ a.b.c }}"),
        "messages": [{"type": "use", "prompt": "rules@1"}, *spec("x\n{{ a.b.c }}")["messages"]],
    }
    composed = compose(outer, {"rules@1": spec("p", "q", "r")})
    with pytest.raises(TemplateError) as found:
        render(composed.template, {"a": {}})
    assert found.value.message_index == 3
    assert (composed.placed(found.value).message_index, composed.placed(found.value).line) == (1, 2)


def test_advice_counts_what_is_included_and_leaves_other_prompts_alone() -> None:
    sources = {"greeting@production": text("Dear {{ name }}, etc.")}
    declared = {"name": {"untrusted": True}, "unused": {}}
    composed = compose(spec(f"Hello\n{JINJA}", variables=declared), sources)
    found = {(one.code, one.subject, one.line) for one in composed.lint()}
    assert found == {("unused_variable", "unused", None), ("undelimited_untrusted", "name", 2)}


def test_a_prompt_without_includes_is_left_as_it_is() -> None:
    plain = spec("Greet {{ name }}")
    assert compose(plain, {}).spec == plain
    assert compose(plain, {}).references == []
