"""The spec of a prompt: its shape, its canonical form, its fingerprint."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptops.templating import canonical_json, canonical_spec, sha256_of, validate_spec

GOOD: dict[str, Any] = {
    "kind": "chat",
    "syntax": "jinja",
    "messages": [{"role": "user", "content": "{{ q }}"}],
    "parameters": {"temperature": 0.2},
    "variables": {"q": {"type": "string"}},
    "output_schema": None,
}


def test_a_good_spec_has_no_errors() -> None:
    assert validate_spec(GOOD) == []
    assert validate_spec({"kind": "text", "syntax": "fstring", "messages": [{"content": "x"}]}) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"kind": "poem"}, "kind"),
        ({"syntax": None}, "syntax"),
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "x", "content": "y"}]}, "messages.0.role"),
        ({"messages": [{"type": "placeholder", "name": "a b"}]}, "messages.0.name"),
        ({"messages": [{"type": "image", "content": "y"}]}, "messages.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": "x"}] * 201}, "messages"),
        ({"parameters": {"temperature": 3}}, "parameters.temperature"),
        ({"parameters": {"max_tokens": 0}}, "parameters.max_tokens"),
        ({"parameters": {"stop": [""]}}, "parameters.stop"),
        ({"parameters": []}, "parameters"),
        ({"variables": {"1a": {}}}, "variables.1a"),
        ({"variables": {"true": {}}}, "variables.true"),
        ({"variables": {"q": {"type": "date"}}}, "variables.q.type"),
        ({"variables": {"q": {"default": 7}}}, "variables.q.default"),
        ({"variables": {"q": {"typo": 1}}}, "variables.q.typo"),
        ({"variables": {"q": {"max_length": -1}}}, "variables.q.max_length"),
        ({"output_schema": {"type": "nonsense"}}, "output_schema.type"),
        ({"output_schema": 7}, "output_schema"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_mistake_is_named_by_its_path(change: dict[str, Any], path: str) -> None:
    assert path in [error.path for error in validate_spec({**GOOD, **change})]


@pytest.mark.parametrize("spec", [None, [], "x", 7])
def test_what_is_no_object_is_refused(spec: Any) -> None:
    assert validate_spec(spec)


def test_equal_meaning_has_an_equal_fingerprint() -> None:
    spelled = {
        **GOOD,
        "messages": [{"content": "{{ q }}", "role": "user", "name": None}],
        "variables": {"q": {"type": "string", "required": True, "untrusted": False, "description": ""}},
        "parameters": {"temperature": 0.2, "top_p": None, "stop": []},
    }
    assert sha256_of(spelled) == sha256_of(GOOD)
    assert sha256_of({**GOOD, "parameters": {"temperature": 0.3}}) != sha256_of(GOOD)
    assert sha256_of({**GOOD, "parameters": {"stop": "END"}}) == sha256_of({**GOOD, "parameters": {"stop": ["END"]}})


def test_the_canonical_form_is_rfc_8785() -> None:
    text = canonical_json({**GOOD, "parameters": {"temperature": 1.0, "b": "€", "a": [1, 2]}}).decode()
    assert text.startswith('{"kind":"chat","messages":[{"content":"{{ q }}","role":"user"}],"output_schema":null,')
    assert '"parameters":{"a":[1,2],"b":"€","temperature":1}' in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(change=st.dictionaries(st.sampled_from([*GOOD, "more"]), JSON, max_size=3))
def test_any_json_is_judged_and_what_passes_is_canonical(change: dict[str, Any]) -> None:
    spec = {**GOOD, **change}
    if not validate_spec(spec):
        once = canonical_spec(spec)
        assert canonical_spec(once) == once
        assert validate_spec(once) == []
