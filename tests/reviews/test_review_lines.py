"""The difference, line by line: every line has its number, and no character is lost, whatever was written."""

from __future__ import annotations

import html
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promptops import templating
from promptops.prompts.diff_view import comparison_of
from promptops.reviews.diff_lines import Line, reviewed_message, reviewed_messages

TEXTS = st.lists(st.sampled_from(["", "a", "b b", "one two", "<i>&", "短い 文", "x  "]), max_size=8).map("\n".join)


def lines_of(old: str, new: str, *, inline: bool, said: Any = None) -> list[Line]:
    """The lines of one message that said this, and says that now."""
    before, after = (
        {"kind": "chat", "syntax": "jinja", "messages": [{"role": "user", "content": text}]} for text in (old, new)
    )
    comparison = comparison_of(templating.diff(before, after), _messages(before), _messages(after))
    if said:
        (message,) = reviewed_messages(comparison, said, inline=inline)
    else:
        message = reviewed_message(comparison, 0, inline=inline)
    return [line for stretch in message.stretches for line in stretch.lines]


def _messages(content: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content["messages"]
    return found


def plain(text: str | None) -> str:
    return html.unescape(re.sub(r"</?(ins|del)[^>]*>", "", text or ""))


@settings(max_examples=150, deadline=None)
@given(old=TEXTS, new=TEXTS, inline=st.booleans())
def test_both_texts_can_be_read_back_by_their_numbers(old: str, new: str, inline: bool) -> None:
    lines = lines_of(old, new, inline=inline)
    for text, side in ((old, "old"), (new, "new")):
        read = [
            (number, plain(getattr(line, side)))
            for line in lines
            if (number := getattr(line, f"{side}_number")) is not None
        ]
        assert read == list(enumerate(text.split("\n"), start=1)) or (text == "" and read == [])


def test_what_was_said_stands_beside_its_line_also_in_a_fold() -> None:
    old = "\n".join(f"line {number}" for number in range(30))
    lines = lines_of(old, old.replace("line 2\n", "line two\n"), inline=False, said={(0, "new", 25): ["remark"]})
    assert [line.new_number for line in lines if line.threads] == [25]


def test_markup_in_a_prompt_is_text() -> None:
    (line,) = lines_of("<b>", "<script>", inline=False)
    assert "<script>" not in str(line.new)
    assert plain(line.new) == "<script>"
