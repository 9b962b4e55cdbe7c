"""Comparing two versions: words side by side and inline, other changes by key, and what breaks callers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptops.prompts.diff_view import LINE_END, Row, folded, rows_of
from promptops.prompts.highlighting import pieces_of
from promptops.prompts.services import move_label
from promptops.templating import Span
from promptops.templating.words import diff_texts
from tests.html import HTMX, Page, signed_in
from tests.people import Team
from tests.prompts.pages import page, said, save, versions


def sides(rows: list[Row]) -> list[tuple[str | None, str | None]]:
    def text(spans: list[Span] | None) -> str | None:
        return None if spans is None else "".join(span.text for span in spans)

    return [(text(row.old), text(row.new)) for row in rows]


def compare(team: Team, old: dict[str, Any], new: dict[str, Any], *, inline: bool = False) -> Page:
    first = team.prompt(**old)
    save(team, first.prompt, **new)
    query = "?from=1&to=2&view=inline" if inline else "?from=1&to=2"
    return Page(signed_in(team.viewer).get(page("diff", "greeting", query=query)))


def test_equal_lines_stand_beside_each_other_and_new_lines_beside_nothing() -> None:
    old = "You are polite.\nAnswer in two sentences.\nNever lie."
    new = "You are very polite.\nSay your name.\nAnswer in two sentences."
    assert sides(rows_of(diff_texts(old, new))) == [
        ("You are polite.", "You are very polite."),
        (None, "Say your name."),
        ("Answer in two sentences.", "Answer in two sentences."),
        ("Never lie.", None),
    ]


@settings(max_examples=300, deadline=None)
@given(
    old=st.text(alphabet="ab \n", max_size=30),
    new=st.text(alphabet="ab \n", max_size=30),
)
def test_the_rows_lose_no_word_of_either_side(old: str, new: str) -> None:
    rows = rows_of(diff_texts(old, new))
    shown = [
        " ".join(text for text in side if text is not None).replace(LINE_END, "").split()
        for side in zip(*sides(rows), strict=True)
    ] or [[], []]
    assert "".join(shown[0]) == "".join(old.split())
    assert "".join(shown[1]) == "".join(new.split())


def test_a_message_that_came_or_went_stands_beside_nothing() -> None:
    assert sides(rows_of([Span("insert", "one\ntwo")])) == [(None, "one\ntwo")]
    assert sides(rows_of([Span("delete", "one")])) == [("one", None)]
    assert rows_of([]) == []


def test_lines_that_were_replaced_stand_beside_each_other_and_below_each_other_inline() -> None:
    (first, row, last) = rows_of(diff_texts("a\nold one\nz", "a\nfresh\nz"))
    assert sides([row]) == [("old one", "fresh")]
    assert (first.is_changed, last.is_changed) == (False, False)


def test_a_line_end_that_went_is_seen() -> None:
    rows = rows_of(diff_texts("one\n\ntwo", "one\ntwo"))
    assert any(LINE_END in span.text for row in rows for span in row.spans if span.op == "delete")


def test_long_stretches_without_a_change_are_folded() -> None:
    lines = [f"line {number}" for number in range(40)]
    changed = [*lines[:20], "another", *lines[21:]]
    blocks = folded(rows_of(diff_texts("\n".join(lines), "\n".join(changed))))
    assert [(block.is_folded, len(block.rows)) for block in blocks] == [(True, 17), (False, 7), (True, 16)]
    # A fold that would save nothing is none.
    assert [block.is_folded for block in folded(rows_of(diff_texts("a\nb\nc\nd\ne\nx", "a\nb\nc\nd\ne\ny")))] == [False]


@pytest.mark.parametrize(
    ("syntax", "text", "marked"),
    [
        ("jinja", "a {{ x }}{# n #}{% if y %}", [("var", "{{ x }}"), ("note", "{# n #}"), ("tag", "{% if y %}")]),
        ("jinja", "{% raw %}{{ x }}{% endraw %}", [("tag", "{% raw %}"), ("tag", "{% endraw %}")]),
        ("jinja", "never {{ closed", []),
        (
            "mustache",
            "{{{x}}}{{#s}}{{! n }}{{/s}}",
            [("var", "{{{x}}}"), ("tag", "{{#s}}"), ("note", "{{! n }}"), ("tag", "{{/s}}")],
        ),
        ("fstring", "{x} {{y}} {no no}", [("var", "{x}"), ("tag", "{no no}")]),
    ],
)
def test_tags_are_marked_in_each_syntax(syntax: str, text: str, marked: list[tuple[str, str]]) -> None:
    pieces = pieces_of(text, syntax)
    assert [(piece.kind, piece.text) for piece in pieces if piece.kind != "text"] == marked
    assert "".join(piece.text for piece in pieces) == text


def test_marking_takes_no_time_whatever_the_text_is() -> None:
    for syntax in ("jinja", "mustache", "fstring"):
        text = "{{{%{#{ " * 60_000
        assert "".join(piece.text for piece in pieces_of(text, syntax)) == text


def test_changed_words_are_marked_on_both_sides(team: Team) -> None:
    shown = compare(
        team, {"messages": said("Answer in two sentences.")}, {"messages": said("Answer in three short sentences.")}
    )
    old, new = shown.all("div", class_="diff-side")
    assert (old.one("del").text, old.all("ins")) == ("two", [])
    assert (new.one("ins").text, new.all("del")) == ("three short", [])
    assert "1 message changed" in shown.text
    assert "+2 −1 words" in shown.text


def test_inline_shows_both_in_one_column(team: Team) -> None:
    shown = compare(team, {"messages": said("two words")}, {"messages": said("three words")}, inline=True)
    line = shown.one("div", class_="diff-line")
    assert (line.one("del").text, line.one("ins").text) == ("two", "three")
    assert not shown.all("div", class_="diff-side")
    assert shown.one("a", aria_current="true", data_shortcut="i").text == "Inline"


def test_messages_that_came_went_and_moved_are_told_apart(team: Team) -> None:
    long = "Some words that make this message one that can be recognised again"
    shown = compare(
        team,
        {"messages": said("first of them", long, "goes away entirely")},
        {"messages": said(long, "first of them", "something else has arrived here now")},
    )
    heads = [head.text for head in shown.all("summary", class_="diff-head")]
    assert any("moved from place" in head for head in heads)
    assert any("added" in head for head in heads)
    assert any("removed" in head for head in heads)


def test_a_role_that_changed_is_told(team: Team) -> None:
    shown = compare(
        team,
        {"messages": [{"role": "user", "content": "the very same words here"}]},
        {"messages": [{"role": "system", "content": "the very same words here"}]},
    )
    assert "role: user system" in shown.text


def test_parameters_variables_and_schema_are_compared_by_key(team: Team) -> None:
    shown = compare(
        team,
        {
            "parameters": {"temperature": 0.2, "seed": 1},
            "variables": {"name": {"type": "string", "max_length": 10}},
            "output_schema": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
        {
            "parameters": {"temperature": 0.7, "top_p": 1},
            "variables": {"name": {"type": "string", "max_length": 5}},
            "output_schema": {"type": "object", "properties": {"b": {"type": "string"}}},
        },
    )
    tables = {
        section.one("h2").text: [
            (row.one("th").text, *[cell.text for cell in row.all("td")]) for row in section.one("tbody").all("tr")
        ]
        for section in shown.all("section", class_="diff")
    }
    assert sorted(tables["Parameters"]) == [("seed", "1", "—"), ("temperature", "0.2", "0.7"), ("top_p", "—", "1")]
    assert tables["Variables"] == [("name.max_length", "10", "5")]
    assert {path for path, *_sides in tables["Output schema"]} == {"properties.a", "properties.b"}


def test_what_breaks_callers_is_flagged(team: Team) -> None:
    shown = compare(
        team,
        {"messages": said("{{ name }} {{ city }}"), "output_schema": {"type": "object"}},
        {"messages": said("{{ name }} {{ country }}")},
    )
    warning = shown.one("div", class_="warning").text
    assert "“city” is no longer used" in warning
    assert "“country” must be given now" in warning
    assert "no longer follows a schema" in warning


def test_equal_versions_say_so(team: Team) -> None:
    first = team.prompt()
    save(team, first.prompt, messages=said("other"))
    save(team, first.prompt)
    shown = Page(signed_in(team.viewer).get(page("diff", "greeting", query="?from=1&to=3")))
    assert "Both versions say the same" in shown.text
    assert {head.attributes.get("open") for head in shown.all("details", class_="diff")} == {None}


def test_it_compares_the_newest_with_the_one_before_unless_told_otherwise(team: Team) -> None:
    prompt = versions(team, 4)[-1].prompt
    move_label(team.actor("editor"), prompt, "production", prompt.versions.get(number=2))
    browser = signed_in(team.viewer)

    def chosen(query: str) -> tuple[str, str]:
        values = Page(browser.get(page("diff", prompt, query=query))).values()
        return values["from"], values["to"]

    assert chosen("") == ("3", "4")
    assert chosen("?to=2") == ("1", "2")
    assert chosen("?to=1") == ("1", "1")
    assert chosen("?from=4&to=2") == ("4", "2")
    shown = Page(browser.get(page("diff", prompt, query="?from=4&to=2&view=inline")))
    assert "production" in shown.one("form", class_="compare-bar").text
    swap = shown.one("a", aria_label="The other way round").attributes["href"]
    assert chosen(swap) == ("2", "4")
    assert "view=inline" in swap


def test_htmx_gets_the_comparison_alone(team: Team) -> None:
    versions(team, 2)
    fragment = Page(signed_in(team.viewer).get(page("diff", "greeting", query="?from=1&to=2"), headers=HTMX))
    assert not fragment.is_whole
    assert [child.attributes["id"] for child in fragment.children if not isinstance(child, str)] == ["comparison"]


@pytest.mark.parametrize("query", ["?from=9", "?to=9", "?from=0", "?from=x", "?to=-1", f"?from={10**30}", "?from=²"])
def test_versions_that_are_not_there_are_not_found(team: Team, query: str) -> None:
    versions(team, 2)
    assert signed_in(team.viewer).get(page("diff", "greeting", query=query)).status_code == 404


def test_moving_a_label_to_what_one_reads_is_one_click_away_for_who_may(team: Team) -> None:
    versions(team, 2)
    path = page("diff", "greeting", query="?from=1&to=2")
    move = page("label-move", "greeting", query="?version=2")
    assert move in Page(signed_in(team.editor).get(path)).links()
    assert move not in Page(signed_in(team.viewer).get(path)).links()
