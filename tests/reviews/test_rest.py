"""Change requests by REST, as a deployment pipeline would use them."""

from __future__ import annotations

from typing import Any

import pytest

from promptops.accounts.actors import SYSTEM, user_actor
from promptops.accounts.models import User
from promptops.accounts.services import add_member
from promptops.reviews import services
from promptops.reviews.selectors import get_change
from tests.api.client import Caller, chat, make_caller, make_project, make_user, problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Caller:
    """A caller with the owner's token. `production` stands at 1 and is protected; version 2 is an editor's."""
    caller = make_caller(make_project())
    caller.make_prompt()
    caller.ok("PUT", "/label-policies", {"checks": ["contract"]})
    return caller


@pytest.fixture
def editor(admin: Caller) -> Caller:
    person = make_user("editor@shop.test")
    add_member(SYSTEM, admin.project, person, role="editor")
    caller = make_caller(admin.project, role="editor")
    caller.token.created_by = person
    caller.token.save()
    caller.ok("POST", "/prompts/support-reply/versions", chat(text="{{ question }} Be brief."), status=201)
    return caller


def reviewer_of(caller: Caller, name: str = "reviewer") -> User:
    person = make_user(f"{name}@shop.test")
    add_member(SYSTEM, caller.project, person, role="reviewer")
    return person


def propose(caller: Caller, **more: Any) -> Any:
    body = {"prompt": "support-reply", "version": 2, "title": "Briefer", **more}
    return caller.ok("POST", "/changes", body, status=201)


def served(caller: Caller) -> int:
    return int(caller.ok("GET", "/prompts/support-reply/resolve")["version"])


def test_a_pipeline_proposes_and_merges_what_a_person_approved(admin: Caller, editor: Caller) -> None:
    reviewer = reviewer_of(admin)
    change = propose(editor, reviewers=[reviewer.pk], description="Customers like it short.")
    assert (change["number"], change["state"], change["replaces"], change["candidate"]) == (1, "open", 1, 2)
    assert [one["code"] for one in change["blockers"]] == ["approvals"]
    assert [(one["name"], one["passed"], one["required"]) for one in change["checks"]] == [
        ("contract", True, True),
        ("lint", True, False),
    ]
    refused = problem(editor.post("/changes/1/merge"), 409, "not_mergeable")
    assert [one["code"] for one in refused["blockers"]] == ["approvals"]

    services.approve(user_actor(reviewer), get_change(admin.project, 1), body="Good")
    read = editor.ok("GET", "/changes/1")
    assert (read["state"], read["approvals"], read["verdicts"][0]["sha256"]) == (
        "approved",
        1,
        change["candidate_sha256"],
    )
    merged = editor.ok("POST", "/changes/1/merge")
    assert (merged["label"], merged["version"], merged["change"]["state"]) == ("production", 2, "merged")
    assert served(editor) == 2
    history = editor.ok("GET", "/prompts/support-reply/labels/production/history")["items"]
    assert (history[0]["authority"], history[0]["reason"]) == ("merge", "#1 Briefer")
    editor.ok("POST", "/prompts/support-reply/labels/production/rollback", {"reason": "complaints"})
    assert served(editor) == 1


def test_a_token_never_approves_and_never_breaks_the_glass(admin: Caller, editor: Caller) -> None:
    propose(editor)
    refused = problem(admin.post("/changes/1/verdicts", {"verdict": "approve"}), 403, "needs_person")
    assert "signed in" in refused["detail"]
    problem(admin.post("/changes/1/break-glass", {"reason": "now"}), 403)
    stopped = admin.ok("POST", "/changes/1/verdicts", {"verdict": "request_changes", "body": "CI is red"}, status=201)
    assert (stopped["state"], stopped["in_effect"][0]["verdict"]) == ("changes_requested", "request_changes")
    problem(admin.post("/changes/1/verdicts", {"verdict": "request_changes"}), 422)
    assert served(editor) == 1


def test_it_is_amended_commented_rejected_and_opened_again(admin: Caller, editor: Caller) -> None:
    propose(editor)
    editor.ok("POST", "/prompts/support-reply/versions", chat(text="{{ question }} Briefly."), status=201)
    amended = editor.ok("PUT", "/changes/1/candidate", {"version": 3})
    assert (amended["candidate"], amended["state"]) == (3, "open")
    problem(
        admin.post("/changes/1/verdicts", {"verdict": "request_changes", "body": "?", "expected": 2}), 409, "amended"
    )
    body = {"body": "", "message_index": 1, "line": 1, "suggestion": "{{ question }}, briefly."}
    comment = admin.ok("POST", "/changes/1/comments", body, status=201)
    reply = editor.ok("POST", "/changes/1/comments", {"body": "Thanks", "reply_to": comment["id"]}, status=201)
    applied = editor.ok("POST", f"/changes/1/comments/{comment['id']}/apply")
    assert applied["candidate"] == 4
    assert editor.ok("POST", f"/changes/1/comments/{reply['id']}/resolve")["id"] == comment["id"]
    listed = editor.ok("GET", "/changes/1/comments")["items"]
    assert [(one["id"], one["outdated"], one["applied_in"]) for one in listed] == [
        (comment["id"], True, 4),
        (reply["id"], True, None),
    ]
    assert admin.ok("POST", "/changes/1/reject", {"reason": "Not now"})["closing_note"] == "Not now"
    assert editor.ok("GET", "/changes?state=open")["items"] == []
    assert editor.ok("PATCH", "/changes/1", {"state": "open", "title": "Later"})["title"] == "Later"
    editor.ok("POST", "/changes/1/withdraw", {})
    problem(editor.patch("/changes/1", {"state": "open", "title": "x" * 201}), 422)
    assert editor.ok("GET", "/changes/1")["state"] == "withdrawn"  # not opened with half of what was asked
    editor.ok("PATCH", "/changes/1", {"state": "open"})
    assert [one["number"] for one in editor.ok("GET", "/changes?state=open&prompt=support-reply")["items"]] == [1]
    assert editor.ok("POST", "/changes/1/withdraw", {})["state"] == "withdrawn"


def test_an_outdated_change_is_rebased_with_its_conflicts_told(admin: Caller, editor: Caller) -> None:
    reviewer = reviewer_of(admin)
    propose(editor)
    editor.ok("POST", "/prompts/support-reply/versions", chat(text="{{ question }} At length."), status=201)
    propose(editor, version=3)
    services.approve(user_actor(reviewer), get_change(admin.project, 2))
    editor.ok("POST", "/changes/2/merge")
    problem(editor.post("/changes/1/merge"), 409, "outdated")
    told = problem(editor.post("/changes/1/rebase"), 409, "merge_conflicts")
    assert [one["path"] for one in told["conflicts"]] == ["messages.1.content"]
    settled = {**told["content"]}
    settled["messages"][1]["content"] = "{{ question }} As it suits."
    rebased = editor.ok("POST", "/changes/1/rebase", {"content": settled})
    assert (rebased["state"], rebased["replaces"], rebased["candidate"]) == ("open", 3, 4)


def test_policies_and_owners_are_set_listed_and_removed(admin: Caller) -> None:
    reviewer = reviewer_of(admin)
    admin.ok("PUT", "/label-policies", {"prompt": "support-reply", "required_approvals": 3, "hold_seconds": 60})
    admin.ok("PUT", "/label-policies", {"folder": "billing / mail", "protected": False})
    listed = admin.ok("GET", "/label-policies")
    assert [(one["folder"], one["prompt"], one["required_approvals"]) for one in listed] == [
        ("", None, 1),
        ("billing/mail", None, 1),
        ("", "support-reply", 3),
    ]
    assert admin.delete("/label-policies?folder=billing/mail").status_code == 204
    problem(admin.delete("/label-policies?folder=billing/mail"), 404)
    assert len(admin.ok("GET", "/label-policies")) == 2
    for wrong, field in (
        ({"label": "latest"}, "label"),
        ({"required_approvals": 0}, "required_approvals"),
        ({"checks": ["taste"]}, "checks"),
        ({"hold_seconds": 10**9}, "hold_seconds"),
        ({"prompt": "support-reply", "folder": "billing"}, "folder"),
    ):
        assert field in problem(admin.put("/label-policies", wrong), 422)["errors"]
    owners = admin.ok("PUT", "/code-owners", {"folder": "billing", "people": [reviewer.pk]})
    assert admin.ok("GET", "/code-owners") == [owners]
    assert [one["name"] for one in owners["people"]] == ["Reviewer"]
    problem(admin.put("/code-owners", {"folder": "billing", "people": [10**6]}), 422)
    admin.ok("PUT", "/code-owners", {"folder": "billing", "people": []})
    assert admin.ok("GET", "/code-owners") == []
