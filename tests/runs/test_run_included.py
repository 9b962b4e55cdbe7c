"""Runs of prompts that include others: what is sent, what is recorded, and the same again in a replay."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from promptops.core.errors import Conflict, Invalid
from promptops.prompts.models import Prompt
from promptops.prompts.services import archive_prompt, create_prompt, create_version, move_label, remove_label
from promptops.runs.lineage import lineage_of
from promptops.runs.models import RunPayload
from promptops.runs.selectors import get_run, payload_of
from promptops.runs.services import replay_run, start_draft_run, start_run, version_target
from tests.api.client import make_caller
from tests.html import signed_in
from tests.people import Team
from tests.runs.pages import scripted_endpoint

INCLUDE = '{% include "salutation@production" %}'
RECORD = {"reference": "salutation@production", "prompt": "salutation", "version": 1, "label": "production"}


def snippet(content: str) -> dict[str, Any]:
    return {"kind": "text", "syntax": "jinja", "messages": [{"content": content}]}


def chat(content: str) -> dict[str, Any]:
    return {"kind": "chat", "syntax": "jinja", "messages": [{"role": "user", "content": content}]}


@pytest.fixture
def salutation(team: Team) -> Prompt:
    """`reply` includes it; its version 2 is saved, and its version 1 is live."""
    scripted_endpoint(team)
    first = create_prompt(team.actor("editor"), team.project, snippet("Dear {{ name }},"), slug="salutation")
    move_label(team.actor("editor"), first.prompt, "production", first)
    create_prompt(team.actor("editor"), team.project, chat(f"{INCLUDE} thanks."), slug="reply")
    return first.prompt


def run_reply(team: Team) -> Any:
    endpoint = team.project.endpoints.get(slug="scripted")
    target = version_target(team.project, "reply", version=1)
    return start_run(team.actor("editor"), target, endpoint, variables={"name": "Ada"})


def move_on(team: Team, salutation: Prompt) -> None:
    second, _ = create_version(team.actor("editor"), salutation, snippet("Hello {{ name }},"))
    move_label(team.actor("editor"), salutation, "production", second)


def test_it_sends_the_whole_and_records_what_was_included(team: Team, salutation: Prompt) -> None:
    payload = payload_of(run_reply(team))
    assert payload.messages == [{"role": "user", "content": "Dear Ada, thanks."}]
    assert payload.includes == [RECORD]


def test_a_replay_includes_the_same_versions_wherever_their_labels_stand(team: Team, salutation: Prompt) -> None:
    run = run_reply(team)
    move_on(team, salutation)
    assert payload_of(run_reply(team)).messages == [{"role": "user", "content": "Hello Ada, thanks."}]

    again = payload_of(replay_run(team.actor("editor"), get_run(team.project, run.pk)))
    assert (again.messages, again.includes) == ([{"role": "user", "content": "Dear Ada, thanks."}], [RECORD])

    remove_label(team.actor("editor"), salutation, "production")
    archive_prompt(team.actor("editor"), salutation)
    last = payload_of(replay_run(team.actor("editor"), get_run(team.project, run.pk)))
    assert last.messages == [{"role": "user", "content": "Dear Ada, thanks."}]


def test_a_run_of_what_cannot_be_put_together_is_refused_with_the_reason(team: Team, salutation: Prompt) -> None:
    remove_label(team.actor("editor"), salutation, "production")
    with pytest.raises(Conflict, match=r"“reply” cannot be put together.*production") as refused:
        run_reply(team)
    assert refused.value.code == "include_broken"
    assert list(refused.value.extra["errors"]) == ["messages.0.content"]
    assert not RunPayload.objects.exists()


def test_the_variables_of_an_included_prompt_are_asked_for(team: Team, salutation: Prompt) -> None:
    target = version_target(team.project, "reply", version=1)
    with pytest.raises(Invalid) as refused:
        start_run(team.actor("editor"), target, team.project.endpoints.get(slug="scripted"), variables={})
    assert list(refused.value.errors) == ["variables.name"]


def test_a_draft_that_includes_is_run_and_recorded(team: Team, salutation: Prompt) -> None:
    endpoint = team.project.endpoints.get(slug="scripted")
    draft = chat(f"{INCLUDE} draft")
    run = start_draft_run(team.actor("editor"), team.project, draft, endpoint, variables={"name": "Ada"})
    assert payload_of(run).messages == [{"role": "user", "content": "Dear Ada, draft"}]
    assert payload_of(run).includes == [RECORD]
    assert run.spec.content["messages"] == draft["messages"]


def test_what_was_included_never_changes(team: Team, salutation: Prompt) -> None:
    run = run_reply(team)
    with pytest.raises(DatabaseError, match="does not change"), transaction.atomic():
        RunPayload.objects.filter(run_id=run.pk).update(includes=[])


def test_rest_the_page_and_the_lineage_show_it(team: Team, salutation: Prompt) -> None:
    run = run_reply(team)
    caller = make_caller(team.project)
    assert caller.ok("GET", f"/runs/{run.pk}")["includes"] == [RECORD]
    assert caller.ok("GET", "/runs?texts=true")["items"][0]["includes"] == [RECORD]

    graph = lineage_of(get_run(team.project, run.pk), payload_of(run))
    node = next(one for one in graph["nodes"] if one["kind"] == "include")
    assert (node["label"], node["url"]) == ("salutation v1", f"/p/{team.project.slug}/prompts/salutation/versions/1/")
    assert any(edge["from"] == node["id"] and edge["to"] == "run" for edge in graph["edges"])

    page = signed_in(team.viewer).get(reverse("runs:detail", args=[team.project.slug, run.pk]))
    assert "salutation@production" in page.content.decode()


def test_the_tokens_that_run_what_includes_a_prompt_are_shown(team: Team, salutation: Prompt) -> None:
    run_reply(team)
    body = {"prompt": "reply", "version": 1, "endpoint": "scripted", "variables": {"name": "Ada"}}
    caller = make_caller(team.project)
    for _ in range(2):
        assert caller.post("/runs", body).status_code == 202
    create_version(team.actor("editor"), salutation, snippet("unused"))

    def panel(slug: str) -> str:
        where = reverse("runs:callers-panel", args=[team.project.slug, slug])
        return signed_in(team.viewer).get(where).content.decode()

    page = panel("salutation")
    [name] = team.project.tokens.values_list("name", flat=True)
    assert name in page
    assert "2 runs" in page
    # Runs by people have no token; runs of another prompt say nothing of this one.
    create_prompt(team.actor("editor"), team.project, snippet("x"), slug="other")
    assert "runs" not in panel("other")


def test_rendering_by_rest_puts_the_includes_in(team: Team, salutation: Prompt) -> None:
    caller = make_caller(team.project)
    body = {"prompt": "reply", "version": 1, "variables": {"name": "Ada"}}
    assert caller.ok("POST", "/render", body)["messages"] == [{"role": "user", "content": "Dear Ada, thanks."}]
