"""The preview beside the editor: rendered messages, mistakes at their place, size, cost and advice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from promptops.catalog.services import create_credential, create_endpoint
from promptops.engines.chat_format import load_chat_format
from tests.html import Page, signed_in
from tests.people import GREETING, Team
from tests.prompts.editing import form, preview, url


@pytest.fixture
def editor(team: Team) -> Client:
    team.prompt()
    return signed_in(team.editor)


def endpoint(team: Team, slug: str = "mini", **more: Any) -> None:
    admin = team.actor("admin")
    credential = create_credential(admin, team.project, name=slug, provider="openai", api_key="sk-123456")
    more = {"model_name": "gpt-4o-mini", "name": slug, **more}
    create_endpoint(admin, team.project, slug=slug, provider="openai", credential=credential, **more)


def found(page: Page) -> dict[str, str]:
    """The variables that the page learns of."""
    [block] = [one for one in page.all("div") if "data-variables-found" in one.attributes]
    return {one["name"]: one["type"] for one in json.loads(block.attributes["data-variables-found"])}


def test_it_shows_the_messages_with_the_values_to_try(editor: Client, team: Team) -> None:
    page = preview(editor, team, form(values={"name": "Ada & Bob"}))

    assert [bubble.text for bubble in page.all(class_="bubble-text")] == [
        "You are polite.",
        "Greet Ada & Bob in one sentence.",
    ]
    assert found(page) == {"name": "string"}


def test_a_text_without_a_value_shows_its_own_name(editor: Client, team: Team) -> None:
    page = preview(editor, team, form())

    assert "Greet ‹name› in one sentence." in page.text
    assert "No value to try yet" in page.text


def test_a_mistake_is_told_at_its_message_and_line(editor: Client, team: Team) -> None:
    messages = [{"role": "system", "content": "Fine."}, {"role": "user", "content": "one\ntwo {{ name + }}\nthree"}]
    page = preview(editor, team, form(messages=messages))

    mistake = page.one("li", data_problem="", data_message_index="1")
    assert mistake.attributes["data-line"] == "2"
    assert "Message 2, line 2" in mistake.text
    # The last good messages stay where they are.
    assert not page.all(id="preview-messages")


def test_a_template_that_fails_with_these_values_is_told_too(editor: Client, team: Team) -> None:
    declared = {"order": {"type": "object"}}
    text = "Order {{ order.number.digits }}"
    missing = preview(editor, team, form(text, variables=declared))
    failing = preview(editor, team, form(text, variables=declared, values={"order": {"id": 1}}))

    assert "is required" in missing.one("li", data_path="variables.order").text
    assert failing.one("li", data_message_index="0").attributes["data-line"] == "1"


def test_a_value_of_the_wrong_type_is_told_at_its_variable(editor: Client, team: Team) -> None:
    declared = {"count": {"type": "integer"}}
    page = preview(editor, team, form("{{ count }} of {{ kind }}", variables=declared, values={"count": "three"}))

    assert "whole number" in page.one("li", data_path="variables.count").text
    assert found(page) == {"count": "integer", "kind": "string"}


def test_a_placeholder_takes_the_history(editor: Client, team: Team) -> None:
    messages = [{"role": "system", "content": "Go on."}, {"type": "placeholder", "name": "history"}]
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    empty = preview(editor, team, form(messages=messages))
    full = preview(editor, team, form(messages=messages, values={"history": history}))

    assert len(empty.all(class_="bubble")) == 1
    assert [bubble.text for bubble in full.all(class_="bubble-text")] == ["Go on.", "Hi", "Hello"]
    assert found(full) == {"history": "messages"}


@pytest.mark.parametrize(
    ("syntax", "text"),
    [("jinja", "Hi {{ name }}"), ("mustache", "Hi {{name}}"), ("fstring", "Hi {name}")],
)
def test_every_syntax_is_previewed(editor: Client, team: Team, syntax: str, text: str) -> None:
    page = preview(editor, team, form(text, syntax=syntax, values={"name": "Ada"}), slug="new")

    assert "Hi Ada" in page.text


def test_messages_with_pictures_are_shown_as_they_are(editor: Client, team: Team) -> None:
    parts = [
        {"type": "text", "text": "What is on {{ what }}?"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]
    endpoint(team)
    page = preview(
        editor, team, form(messages=[{"role": "user", "content": parts}], values={"what": "it"}, endpoint="mini")
    )

    assert "What is on it?" in page.text
    assert "https://x/y.png" in page.text


def test_half_typed_and_hostile_content_never_breaks_it(editor: Client, team: Team) -> None:
    broken: dict[str, Any]
    for broken in (
        {"messages": "[{"},
        {"messages": [1, None, {"role": 5}]},
        {"messages": []},
        {"variables": {"not a name": {}}},
        {"variables": {"name": "text"}},
        {"syntax": "php"},
        {"output_schema": '{"type":'},
        {"values": "[1, 2"},
        {"parameters": {"temperature": "hot"}},
    ):
        page = preview(editor, team, form(**broken))
        assert page.all("div", data_stand_ins="") or page.text


def test_a_bomb_ends_as_a_mistake(editor: Client, team: Team) -> None:
    page = preview(
        editor, team, form("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}")
    )

    assert page.all("li", data_message_index="0")


def test_advice_comes_with_a_way_to_its_place(editor: Client, team: Team) -> None:
    declared = {"question": {"type": "string", "untrusted": True}, "left": {"type": "string", "default": "x"}}
    page = preview(editor, team, form("Answer\n{{ question }} etc.", variables=declared, values={"question": "?"}))

    advice = page.one(id="preview-advice")
    assert "“left” is declared, but no message uses it." in advice.text
    assert "“question” comes from outside and is not set apart." in advice.text
    vague = next(one for one in advice.all("li") if "etc." in one.text)
    assert (vague.attributes["data-message-index"], vague.attributes["data-line"]) == ("0", "2")


def test_the_cost_is_bounded_by_the_longest_answer(editor: Client, team: Team) -> None:
    endpoint(team, price={"input_price": "1", "output_price": "10"}, context_window=1000)
    open_end = preview(editor, team, form("x" * 400, parameters={}, endpoint="mini"))
    bounded = preview(editor, team, form("x" * 400, parameters={"max_tokens": 100}, endpoint="mini"))

    # About 107 input tokens at $1 a million; 100 output tokens at $10 a million.
    assert "from $0.000107 a run" in open_end.one(id="estimate").text
    assert "at most $0.00111 a run" in bounded.one(id="estimate").text
    assert "≈ 107 tokens of 1,000" in bounded.one(id="estimate").text


def test_a_prompt_beyond_the_context_window_is_told(editor: Client, team: Team) -> None:
    endpoint(team, context_window=100)
    over = preview(editor, team, form("x" * 800, endpoint="mini"))
    tight = preview(editor, team, form("x" * 200, parameters={"max_tokens": 90}, endpoint="mini"))

    assert "does not fit into the context window" in over.text
    assert "the answer may be cut short" in tight.text


def test_an_unknown_price_is_not_zero(editor: Client, team: Team) -> None:
    endpoint(team, model_name="somebody-elses-model")
    page = preview(editor, team, form(endpoint="mini"))

    assert "cost unknown" in page.one(id="estimate").text
    assert "$" not in page.one(id="estimate").text


def test_tokens_are_exact_where_the_tokenizer_is_here(
    editor: Client, team: Team, embedded_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "LOCAL_MODELS_DIR", embedded_model.parent)
    page = preview(editor, team, form(values={"name": "Ada"}))

    rendered = [*GREETING["messages"][:1], {"role": "user", "content": "Greet Ada in one sentence."}]
    exact = len(load_chat_format(embedded_model).prompt_ids(rendered))
    estimate = page.one(id="estimate").text
    assert estimate.startswith(f"{exact} tokens")
    assert "no cost" in estimate
    of_text = len(load_chat_format(embedded_model).tokenizer.encode("You are polite.", add_special_tokens=False).ids)
    assert page.all(class_="bubble")[0].text == f"system {of_text} tokens You are polite."


def test_what_a_model_does_not_take_is_told_before_a_run_is_refused(editor: Client, team: Team) -> None:
    page = preview(editor, team, form(parameters={"logit_bias": {}}))

    assert "no such parameter" in page.one("li", data_path="parameters.logit_bias").text


def test_the_endpoint_chosen_last_is_chosen_again(editor: Client, team: Team) -> None:
    endpoint(team)
    before = Page(editor.get(url(team, "detail"))).values()["endpoint"]
    preview(editor, team, form(endpoint="mini"))
    after = Page(editor.get(url(team, "detail"))).values()["endpoint"]

    assert before != "mini"
    assert after == "mini"
    assert Page(signed_in(team.admin).get(url(team, "detail"))).values()["endpoint"] == before


def test_a_foreign_prompt_is_not_previewed(team: Team) -> None:
    client = signed_in(team.outsider)
    assert client.post(url(team, "preview"), form()).status_code == 404
    assert signed_in(team.editor).post(url(team, "preview", "absent"), form()).status_code == 404
