"""The audit log by REST: what happened, in order, verifiable, and nobody's words in it."""

from __future__ import annotations

import pytest

from tests.api.client import Caller, chat, make_caller, make_project, problem

pytestmark = pytest.mark.django_db


def test_what_happens_to_a_prompt_is_on_record_newest_first(admin: Caller) -> None:
    admin.make_prompt()
    admin.ok("PATCH", "/prompts/support-reply", {"slug": "renamed", "tags": ["x"]})
    admin.ok("POST", "/prompts/renamed/archive")
    admin.ok("POST", "/prompts/renamed/restore")
    events = admin.ok("GET", "/audit?target_kind=prompt")["items"]
    assert [one["action"] for one in events] == [
        "prompt.restored",
        "prompt.archived",
        "prompt.updated",
        "label.moved",
        "version.created",
        "prompt.created",
    ]
    updated = events[2]
    assert updated["detail"] == {"fields": ["slug", "tags"]}
    assert (updated["actor_kind"], updated["actor_id"]) == ("token", admin.token.pk)
    assert updated["user_id"] == admin.token.created_by_id
    assert {one["target_id"] for one in events} == {updated["target_id"]}


def test_what_people_wrote_is_not_in_it(admin: Caller) -> None:
    admin.make_prompt(text="secret words {{ question }}", description="secret words", message="secret words")
    admin.ok("PUT", "/prompts/support-reply/labels/production", {"version": 1, "reason": "secret words"})
    admin.ok("POST", "/tokens", {"name": "secret words"}, status=201)
    admin.ok("POST", "/invitations", {"note": "secret words"}, status=201)
    text = str(admin.ok("GET", "/audit?limit=200"))
    assert "secret" not in text
    assert "owner@shop.test" not in text


def test_doing_nothing_leaves_no_trace(admin: Caller) -> None:
    admin.make_prompt()
    before = admin.ok("GET", "/audit")["items"]
    admin.ok("POST", "/prompts/support-reply/versions", chat())
    admin.ok("PUT", "/prompts/support-reply/labels/production", {"version": 1})
    admin.ok("PATCH", "/prompts/support-reply", {"folder": ""})
    admin.ok("POST", "/prompts/support-reply/restore")
    problem(admin.post("/prompts", {"slug": "support-reply", **chat()}), 409)
    assert admin.ok("GET", "/audit")["items"] == before


@pytest.mark.django_db(transaction=True)
def test_the_chain_holds_and_each_event_has_its_place(admin: Caller) -> None:
    admin.make_prompt()
    found = admin.ok("GET", "/audit/verify")
    events = admin.ok("GET", "/audit")["items"]
    assert (found["valid"], found["broken_at"]) == (True, None)
    assert found["events"] == len(events)
    assert [one["number"] for one in events] == list(range(len(events), 0, -1))
    assert found["head"] == events[0]["hash"]


def test_it_pages_and_narrows(admin: Caller) -> None:
    for number in range(3):
        admin.make_prompt(f"prompt-{number}")
    first = admin.ok("GET", "/audit?action=label.moved&limit=2")
    rest = admin.ok("GET", f"/audit?action=label.moved&limit=2&cursor={first['next']}")
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]
    target = first["items"][0]["target_id"]
    assert {one["target_id"] for one in admin.ok("GET", f"/audit?target_id={target}")["items"]} == {target}
    problem(admin.get("/audit?limit=1000"), 422)


def test_only_admins_read_it_and_only_their_own(admin: Caller) -> None:
    admin.make_prompt()
    for role in ("viewer", "editor", "reviewer"):
        caller = make_caller(admin.project, role)
        problem(caller.get("/audit"), 403)
        problem(caller.get("/audit/verify"), 403)
    elsewhere = make_caller(make_project("elsewhere"))
    assert "label.moved" not in str(elsewhere.ok("GET", "/audit"))
