"""Three-way merge: what both sides did is kept, what they did to the same is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptops.templating import canonical_spec, merge


def spec(*texts: str, **changes: Any) -> dict[str, Any]:
    messages = [{"role": "system" if number == 0 else "user", "content": text} for number, text in enumerate(texts)]
    return {"kind": "chat", "syntax": "jinja", "messages": messages, **changes}


def texts(content: dict[str, Any]) -> list[str]:
    return [message["content"] for message in content["messages"]]


BASE = spec("You answer customers of the shop.", "Where is my parcel number seven?", parameters={"temperature": 0.2})


def test_changes_of_different_messages_and_settings_are_put_together() -> None:
    ours = spec("You answer customers of the shop politely.", texts(BASE)[1], parameters={"temperature": 0.2})
    theirs = spec(texts(BASE)[0], "Where is my parcel number eight?", parameters={"temperature": 0.9, "max_tokens": 50})
    merged = merge(BASE, ours, theirs)
    assert merged.is_clean
    assert texts(merged.content) == [texts(ours)[0], texts(theirs)[1]]
    assert merged.content["parameters"] == {"temperature": 0.9, "max_tokens": 50}


def test_a_message_that_one_added_and_a_text_that_the_other_changed_are_both_kept() -> None:
    ours = spec(texts(BASE)[0], "Answer in English.", texts(BASE)[1], parameters={"temperature": 0.2})
    theirs = spec(texts(BASE)[0], "Where is my parcel number eight?", parameters={"temperature": 0.2})
    merged = merge(BASE, ours, theirs)
    assert merged.is_clean
    assert texts(merged.content) == [texts(BASE)[0], "Answer in English.", "Where is my parcel number eight?"]


def test_two_texts_for_one_message_are_a_conflict_at_its_place() -> None:
    ours = spec("Ours is quite another text.", texts(BASE)[1], parameters={})
    theirs = spec("And theirs differs too.", texts(BASE)[1], parameters={"temperature": 0.2})
    merged = merge(BASE, ours, theirs)
    assert [(one.path, one.base, one.ours, one.theirs) for one in merged.conflicts] == [
        ("messages.0.content", texts(BASE)[0], texts(ours)[0], texts(theirs)[0])
    ]
    assert texts(merged.content)[0] == texts(ours)[0]
    assert merged.content["parameters"] == {}


def test_a_parameter_that_one_took_away_and_the_other_changed_is_a_conflict() -> None:
    merged = merge(BASE, {**BASE, "parameters": {}}, {**BASE, "parameters": {"temperature": 1}})
    assert [(one.path, one.base, one.ours, one.theirs) for one in merged.conflicts] == [
        ("parameters.temperature", 0.2, None, 1)
    ]


def test_a_variable_is_merged_by_what_is_declared_of_it() -> None:
    base = {**BASE, "variables": {"name": {"type": "string", "description": "who"}}}
    ours = {**BASE, "variables": {"name": {"type": "string", "description": "who is greeted"}}}
    theirs = {**BASE, "variables": {"name": {"type": "string", "description": "who", "max_length": 20}}}
    merged = merge(base, ours, theirs)
    assert merged.is_clean
    assert merged.content["variables"]["name"] == {
        "type": "string",
        "required": True,
        "description": "who is greeted",
        "max_length": 20,
    }


def test_messages_added_by_both_at_one_place_are_a_conflict() -> None:
    ours = spec(*texts(BASE), "One more of ours.", parameters={"temperature": 0.2})
    theirs = spec(*texts(BASE), "Something of theirs.", "And yet more.", parameters={"temperature": 0.2})
    merged = merge(BASE, ours, theirs)
    assert [(one.path, len(one.base), len(one.ours), len(one.theirs)) for one in merged.conflicts] == [
        ("messages.2", 0, 1, 2)
    ]


def test_without_a_common_base_what_is_alike_is_taken() -> None:
    assert merge(None, BASE, BASE).content == canonical_spec(BASE)
    assert [one.path for one in merge(None, BASE, {**BASE, "parameters": {"temperature": 1}}).conflicts] == [
        "parameters.temperature"
    ]


WORDS = st.lists(st.sampled_from(["red", "green", "blue", "one", "two", "three"]), min_size=1, max_size=6).map(" ".join)
MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "assistant"]), WORDS),
        st.sampled_from([{"type": "placeholder", "name": "history"}, {"type": "placeholder", "name": "more"}]),
    ),
    min_size=1,
    max_size=5,
)
SPECS = st.fixed_dictionaries(
    {
        "kind": st.just("chat"),
        "syntax": st.sampled_from(["jinja", "mustache"]),
        "messages": MESSAGES,
        "parameters": st.dictionaries(st.sampled_from(["seed", "top_k"]), st.integers(1, 3), max_size=2),
        "variables": st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.fixed_dictionaries({"type": st.sampled_from(["string", "number"])}),
            max_size=2,
        ),
        "output_schema": st.sampled_from([None, {"type": "object"}, {"type": "string"}]),
    }
)


@given(base=SPECS, side=SPECS)
@settings(max_examples=60, deadline=None)
def test_what_only_one_side_changed_is_taken_as_it_is(base: dict[str, Any], side: dict[str, Any]) -> None:
    expected = canonical_spec(side)
    for merged in (merge(base, side, base), merge(base, base, side), merge(base, side, side)):
        assert merged.is_clean
        assert merged.content == expected


@given(base=SPECS, ours=SPECS, theirs=SPECS)
@settings(max_examples=100, deadline=None)
def test_it_does_not_matter_who_comes_first(base: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    one, other = merge(base, ours, theirs), merge(base, theirs, ours)
    assert one.is_clean == other.is_clean
    if one.is_clean:
        assert one.content == other.content
    for conflict in one.conflicts:
        assert conflict.ours != conflict.theirs
        assert conflict.base not in (conflict.ours, conflict.theirs) or conflict.base is None


@pytest.mark.parametrize("count", [200])
def test_long_prompts_are_merged_quickly(count: int) -> None:
    base = spec(*(f"Message number {number} has a few words of its own" for number in range(count)))
    ours = spec(*(text if number != 10 else "rewritten" for number, text in enumerate(texts(base))))
    theirs = spec(*(text if number != 150 else "rewritten too" for number, text in enumerate(texts(base))))
    merged = merge(base, ours, theirs)
    assert merged.is_clean
    assert (texts(merged.content)[10], texts(merged.content)[150]) == ("rewritten", "rewritten too")
