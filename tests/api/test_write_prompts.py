"""What a prompt may be: text, other syntaxes, parts, defaults of the body; and a POST that is sent twice."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785

from promptops.prompts.models import Prompt, PromptVersion
from tests.api.client import Caller, chat, problem

pytestmark = pytest.mark.django_db

TEXT = {"kind": "text", "syntax": "fstring", "messages": [{"content": "Label: {text}"}]}


def test_a_text_prompt_is_one_message_without_a_role(admin: Caller) -> None:
    version = admin.ok("POST", "/prompts", {"slug": "sentiment", **TEXT}, status=201)
    assert (version["kind"], version["messages"]) == ("text", [{"content": "Label: {text}"}])
    rendered = admin.ok("POST", "/render", {"prompt": "sentiment", "version": 1, "variables": {"text": "fine"}})
    assert [message["content"] for message in rendered["messages"]] == ["Label: fine"]
    admin.ok("PUT", "/prompts/sentiment/labels/production", {"version": 1})
    assert admin.ok("GET", "/prompts/sentiment/resolve")["kind"] == "text"


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        ([{"role": "user", "content": "x"}], "messages.0.role"),
        ([{"content": "x"}, {"content": "y"}], "messages"),
        ([{"content": [{"type": "text", "text": "x"}]}], "messages.0.content"),
        ([], "messages"),
    ],
)
def test_a_text_prompt_is_nothing_else(admin: Caller, messages: list[Any], path: str) -> None:
    answer = admin.post("/prompts", {"slug": "sentiment", **TEXT, "messages": messages})
    assert path in problem(answer, 422)["errors"]
    assert not Prompt.objects.exists()


def test_a_prompt_stays_of_its_kind(admin: Caller) -> None:
    admin.ok("POST", "/prompts", {"slug": "sentiment", **TEXT}, status=201)
    assert "kind" in problem(admin.post("/prompts/sentiment/versions", chat()), 422)["errors"]


def test_kind_and_syntax_may_be_left_out(admin: Caller) -> None:
    messages = [{"role": "user", "content": "{{ q }}"}]
    made = admin.ok("POST", "/prompts", {"slug": "short", "messages": messages}, status=201)
    assert (made["kind"], made["syntax"]) == ("chat", "jinja")
    admin.ok("POST", "/prompts", {"slug": "moustache", "syntax": "mustache", "messages": messages}, status=201)
    # A version without a syntax is in the one before: nobody's template changes its meaning by what was not said.
    again = admin.ok(
        "POST",
        "/prompts/moustache/versions",
        {"messages": [{"role": "user", "content": "{{#q}}{{.}}{{/q}}"}]},
        status=201,
    )
    assert (again["kind"], again["syntax"], again["version"]) == ("chat", "mustache", 2)


def test_messages_may_have_parts_and_a_place_for_the_history(admin: Caller) -> None:
    messages = [
        {"type": "placeholder", "name": "history"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is on it, {{ name }}?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
    ]
    admin.ok("POST", "/prompts", {"slug": "look", **chat(), "messages": messages}, status=201)
    history = [{"role": "assistant", "content": "Hello."}]
    rendered = admin.ok(
        "POST", "/render", {"prompt": "look", "version": 1, "variables": {"name": "Ada", "history": history}}
    )
    assert rendered["messages"][0] == history[0]
    assert rendered["messages"][1]["content"][0]["text"] == "What is on it, Ada?"
    assert rendered["messages"][1]["content"][1]["type"] == "image_url"


def test_the_hash_is_over_the_canonical_json_of_the_content(admin: Caller) -> None:
    import hashlib

    admin.make_prompt()
    served = admin.ok("GET", "/prompts/support-reply/resolve")
    names = ("kind", "syntax", "messages", "parameters", "variables", "output_schema")
    content = {name: served[name] for name in names}
    assert served["sha256"] == hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def test_a_default_that_is_spelled_out_is_the_same_content(admin: Caller) -> None:
    admin.make_prompt(variables={"question": {"type": "string"}})
    same = chat(variables={"question": {"type": "string", "required": True, "description": ""}}, output_schema=None)
    answer = admin.post("/prompts/support-reply/versions", same)
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert answer["Location"] == "/api/v1/prompts/support-reply/versions/1"
    assert PromptVersion.objects.count() == 1


def test_going_back_to_an_older_text_is_a_new_version_of_the_same_spec(admin: Caller) -> None:
    admin.make_prompt()
    admin.ok("POST", "/prompts/support-reply/versions", chat(text="two"), status=201)
    third = admin.ok("POST", "/prompts/support-reply/versions", chat(), status=201)
    one = PromptVersion.objects.get(number=1)
    assert third["version"] == 3
    assert third["sha256"] == one.content_sha256
    assert PromptVersion.objects.get(number=3).spec_id == one.spec_id


def test_a_prompt_is_created_once_under_one_key(admin: Caller) -> None:
    body = {"slug": "support-reply", **chat()}
    first, again = (admin.post("/prompts", body, key="create-1") for _twice in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Location"] == first["Location"] == "/api/v1/prompts/support-reply/versions/1"
    assert again["Idempotency-Replayed"] == "true"
    assert not first.has_header("Idempotency-Replayed")
    problem(admin.post("/prompts", {**body, "description": "another"}, key="create-1"), 422, "idempotency_mismatch")
    problem(admin.post("/prompts", body, key="create-2"), 409, "slug_taken")
    assert Prompt.objects.count() == 1


def test_a_refused_request_leaves_its_key_free(admin: Caller) -> None:
    problem(admin.post("/prompts", {"slug": "Not A Slug", **chat()}, key="create-1"), 422)
    assert admin.post("/prompts", {"slug": "fine", **chat()}, key="create-1").status_code == 201


@pytest.mark.parametrize("slug", ["search", "new", "csv", "home-panel", "-x", "x" * 101, "Ä", "a b", "a\n"])
def test_a_slug_that_no_page_could_have_is_refused(admin: Caller, slug: str) -> None:
    answer = admin.post("/prompts", {"slug": slug, **chat()})
    if slug == "a\n":  # space around it is no mistake
        assert answer.json()["prompt"] == "a"
    else:
        assert "slug" in problem(answer, 422)["errors"]


def test_changing_the_heading_leaves_out_what_is_left_out(admin: Caller) -> None:
    admin.make_prompt(folder="support", description="Answers.", tags=["mail"])
    changed = admin.ok("PATCH", "/prompts/support-reply", {"folder": "sales/客服"})
    assert (changed["folder"], changed["description"], changed["tags"]) == ("sales/客服", "Answers.", ["mail"])
    assert admin.ok("PATCH", "/prompts/support-reply", {"tags": [], "description": ""})["tags"] == []
    problem(admin.patch("/prompts/support-reply", {"kind": "text"}), 422)
    problem(admin.patch("/prompts/support-reply", {"slug": "search"}), 422)
    assert [one["slug"] for one in admin.ok("GET", "/prompts?folder=sales")["items"]] == ["support-reply"]


def test_every_path_of_a_prompt_leads_on_from_an_old_slug(admin: Caller) -> None:
    admin.make_prompt("old")
    admin.ok("PATCH", "/prompts/old", {"slug": "fresh"})
    calls = [
        ("GET", "", None),
        ("PATCH", "", {"folder": "x"}),
        ("GET", "/versions", None),
        ("POST", "/versions", chat(text="two")),
        ("GET", "/versions/1", None),
        ("GET", "/resolve?label=production", None),
        ("GET", "/diff?from=1&to=1", None),
        ("GET", "/labels", None),
        ("PUT", "/labels/production", {"version": 1}),
        ("DELETE", "/labels/production", None),
        ("POST", "/labels/production/rollback", {}),
        ("GET", "/labels/production/history", None),
        ("POST", "/archive", {}),
        ("POST", "/restore", {}),
    ]
    for method, path, body in calls:
        answer = admin(method, f"/prompts/old{path}", body)
        assert (answer.status_code, answer["Location"]) == (308, f"/api/v1/prompts/fresh{path}"), (method, path)
    assert PromptVersion.objects.count() == 1
