"""What changed between two specs, for people to read and for callers to be warned."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptops.templating import diff
from promptops.templating.words import diff_texts, words_of


def spec(*texts: str, **changes: Any) -> dict[str, Any]:
    messages = [{"role": "system" if index == 0 else "user", "content": text} for index, text in enumerate(texts)]
    return {"kind": "chat", "syntax": "jinja", "messages": messages, **changes}


def spans(old: str, new: str) -> list[tuple[str, str]]:
    return [(span.op, span.text) for span in diff_texts(old, new)]


def test_it_finds_the_words_that_changed() -> None:
    assert spans("Answer in two sentences.", "Answer in three short sentences.") == [
        ("equal", "Answer in "),
        ("delete", "two"),
        ("insert", "three short"),
        ("equal", " sentences."),
    ]


def test_it_splits_chinese_into_characters() -> None:
    assert spans("请用中文回答。", "请用英文回答。") == [
        ("equal", "请用"),
        ("delete", "中"),
        ("insert", "英"),
        ("equal", "文回答。"),
    ]


def test_a_tag_of_a_template_is_never_torn_apart() -> None:
    assert spans("{% if vip %}Dear {{ name }},{% endif %} hello", "Dear {{ first_name }}, hello {mood}") == [
        ("delete", "{% if vip %}"),
        ("equal", "Dear "),
        ("delete", "{{ name }}"),
        ("insert", "{{ first_name }}"),
        ("equal", ","),
        ("delete", "{% endif %}"),
        ("equal", " hello"),
        ("insert", " {mood}"),
    ]


@settings(max_examples=200, deadline=None)
@given(old=st.text(max_size=200), new=st.text(max_size=200))
def test_the_spans_are_both_texts(old: str, new: str) -> None:
    found = diff_texts(old, new)
    assert "".join(span.text for span in found if span.op != "insert") == old
    assert "".join(span.text for span in found if span.op != "delete") == new
    assert "".join(words_of(old)) == old


def test_unrelated_long_texts_end_soon() -> None:
    old, new = " ".join(f"a{n}" for n in range(20_000)), " ".join(f"b{n}" for n in range(20_000))
    assert {op for op, _text in spans(old, new)} == {"delete", "insert"}


def test_equal_specs_have_no_difference() -> None:
    # A default that is spelled out means the same as one that is left out.
    one = spec("Be kind.", "{{ q }}", variables={"q": {"type": "string"}})
    other = spec("Be kind.", "{{ q }}", variables={"q": {"type": "string", "required": True, "description": ""}})
    found = diff(one, other)
    assert found.is_empty
    assert [message.status for message in found.messages] == ["same", "same"]


def test_it_tells_added_removed_changed_and_moved_messages_apart() -> None:
    old = spec("You are a polite assistant of the shop.", "First example question here", "Second example, quite long")
    new = {
        **old,
        "messages": [
            old["messages"][2],
            {"role": "system", "content": "You are a friendly assistant of the shop."},
            old["messages"][1],
            {"role": "user", "content": "Something altogether new"},
        ],
    }
    found = diff(old, new)
    assert [(message.status, message.old_index, message.new_index) for message in found.messages] == [
        ("moved", 2, 0),
        ("changed", 0, 1),
        ("same", 1, 2),
        ("added", None, 3),
    ]
    removed = diff(new, old)
    assert [message.status for message in removed.messages].count("removed") == 1


def test_it_names_parameters_variables_and_schema_by_key() -> None:
    old = spec("x", parameters={"temperature": 0.2, "stop": "END"}, output_schema={"type": "object"})
    new = spec("x", parameters={"temperature": 0.9, "max_tokens": 5}, output_schema={"type": "array"})
    found = diff(old, new)
    assert {(change.path, change.status) for change in found.parameters} == {
        ("temperature", "changed"),
        ("max_tokens", "added"),
        ("stop", "removed"),
    }
    assert [(change.path, change.old, change.new) for change in found.output_schema] == [("type", "object", "array")]


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        (spec("{{ a }} {{ b }}"), spec("{{ a }}"), {"variable_removed"}),
        (spec("{{ a }}"), spec("{{ a }} {{ b }}"), {"variable_required"}),
        (spec("{{ a }}"), spec("{{ a }} {{ b|default('x') }}"), set()),
        (
            spec("{{ a }}", variables={"a": {"type": "string"}}),
            spec("{{ a }}", variables={"a": {"type": "array"}}),
            {"variable_type"},
        ),
        (
            spec("{{ a }}", variables={"a": {"type": "integer"}}),
            spec("{{ a }}", variables={"a": {"type": "number"}}),
            set(),
        ),
        (
            spec("{{ a }}", variables={"a": {"type": "string"}}),
            spec("{{ a }}", variables={"a": {"type": "string", "max_length": 9}}),
            {"variable_max_length"},
        ),
        (
            spec("x", output_schema={"properties": {"label": {}}}),
            spec("x", output_schema={"properties": {"tag": {}}}),
            {"output_property_removed"},
        ),
        (spec("x", output_schema={"type": "object"}), spec("x"), {"output_schema_removed"}),
    ],
)
def test_it_warns_of_what_callers_must_follow(old: dict[str, Any], new: dict[str, Any], codes: set[str]) -> None:
    assert {one.code for one in diff(old, new).breaking} == codes
