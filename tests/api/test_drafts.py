"""Drafts by REST: stored as typed, whatever was typed; made a version when it is one."""

from __future__ import annotations

from typing import Any

import pytest

from promptops.accounts import services as accounts
from promptops.accounts.actors import SYSTEM
from promptops.accounts.tokens import create_token
from promptops.prompts.models import Draft, Prompt
from tests.api.client import Caller, chat, make_caller, make_user, problem

pytestmark = pytest.mark.django_db


def test_a_draft_holds_what_is_not_finished(admin: Caller) -> None:
    unfinished = {"messages": [{"role": "user", "content": "{{ open"}], "kind": "chat"}
    draft = admin.ok("POST", "/drafts", {"content": unfinished, "heading": {"slug": "not yet a slug"}}, status=201)
    assert draft["content"] == unfinished
    assert draft["heading"] == {"slug": "not yet a slug"}
    again = admin.ok("GET", f"/drafts/{draft['id']}")
    assert again == draft


@pytest.mark.parametrize(
    "content",
    [{"messages": 5}, {"messages": ["x", None]}, {"variables": []}, {"kind": "poem"}, {}, {"colour": "red"}],
)
def test_a_draft_of_anything_is_kept_and_refused_as_a_version_in_words(admin: Caller, content: dict[str, Any]) -> None:
    draft = admin.ok("POST", "/drafts", {"content": content, "heading": {"slug": "fine"}}, status=201)
    refused = problem(admin.post(f"/drafts/{draft['id']}/commit", {"revision": 1}), 422)
    assert refused["errors"]
    assert admin.ok("GET", f"/drafts/{draft['id']}")["revision"] == 1
    assert not Prompt.objects.exists()


@pytest.mark.parametrize("tags", [5, "abc", None, {"a": 1}, [1, None, "ok"]])
def test_a_heading_of_anything_is_no_server_error(admin: Caller, tags: Any) -> None:
    heading = {"slug": "fine", "folder": None, "description": 7, "tags": tags}
    draft = admin.ok("POST", "/drafts", {"content": chat(), "heading": heading}, status=201)
    version = admin.ok("POST", f"/drafts/{draft['id']}/commit", {"revision": 1}, status=201)
    assert version["prompt"] == "fine"
    assert admin.ok("GET", "/prompts/fine")["folder"] == ""


def test_what_is_not_said_of_the_heading_stays(admin: Caller) -> None:
    draft = admin.ok("POST", "/drafts", {"content": chat(), "heading": {"slug": "fine", "tags": ["a"]}}, status=201)
    path = f"/drafts/{draft['id']}"
    assert admin.ok("PUT", path, {"revision": 1, "content": chat(text="x")})["heading"] == draft["heading"]
    assert admin.ok("PUT", path, {"revision": 2, "content": chat(), "heading": {}})["heading"] == {}


def test_a_draft_that_equals_the_newest_version_makes_none(admin: Caller) -> None:
    admin.make_prompt()
    draft = admin.ok("POST", "/drafts", {"prompt": "support-reply"}, status=201)
    answer = admin.post(f"/drafts/{draft['id']}/commit", {"revision": 1})
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert not Draft.objects.exists()


def test_a_stale_revision_writes_saves_and_follows_nothing(admin: Caller) -> None:
    admin.make_prompt()
    draft = admin.ok("POST", "/drafts", {"prompt": "support-reply", "content": chat(text="mine")}, status=201)
    path = f"/drafts/{draft['id']}"
    admin.ok("PUT", path, {"revision": 1, "content": chat(text="newer")})
    admin.ok("POST", "/prompts/support-reply/versions", chat(text="theirs"), status=201)
    for answer in (
        admin.put(path, {"revision": 1, "content": chat(text="late")}),
        admin.post(f"{path}/commit", {"revision": 1}),
        admin.post(f"{path}/rebase", {"version": 2, "revision": 1}),
    ):
        stale = problem(answer, 409, "stale_draft")
        assert stale["stored"]["content"]["messages"][1]["content"] == "newer"
    assert admin.ok("GET", path)["base_version"] == 1
    assert admin.ok("POST", f"{path}/rebase", {"version": 2, "revision": 2})["base_version"] == 2


def test_following_is_for_versions_of_the_same_prompt(admin: Caller) -> None:
    admin.make_prompt()
    of_nothing = admin.ok("POST", "/drafts", {"content": chat()}, status=201)
    problem(admin.post(f"/drafts/{of_nothing['id']}/rebase", {"version": 1}), 404)
    draft = admin.ok("POST", "/drafts", {"prompt": "support-reply"}, status=201)
    problem(admin.post(f"/drafts/{draft['id']}/rebase", {"version": 9}), 404)


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "99999999"])
def test_a_draft_that_is_not_there_is_not_found(admin: Caller, number: str) -> None:
    for answer in (
        admin.get(f"/drafts/{number}"),
        admin.put(f"/drafts/{number}", {"revision": 1, "content": {}}),
        admin.post(f"/drafts/{number}/commit", {"revision": 1}),
        admin.delete(f"/drafts/{number}"),
    ):
        problem(answer, 404)


def test_a_draft_of_megabytes_is_refused(admin: Caller) -> None:
    problem(admin.post("/drafts", {"content": chat(text="x" * 2_100_000)}), 413, "too_large")


def test_a_draft_belongs_to_a_person(admin: Caller) -> None:
    _token, secret = create_token(SYSTEM, admin.project, name="made by a command", role="admin")
    nobody = Caller(admin.project, admin.token, secret)
    problem(nobody.post("/drafts", {"content": chat()}), 403)
    problem(nobody.get("/drafts"), 403)


def test_of_two_members_each_has_a_draft_of_a_prompt(admin: Caller) -> None:
    admin.make_prompt()
    colleague = make_user("colleague@shop.test")
    accounts.add_member(SYSTEM, admin.project, colleague, role="editor")
    # A token counts as the person who made it; an editor makes none, so an admin's is narrowed here.
    accounts.change_role(SYSTEM, admin.project.memberships.get(user=colleague), role="admin")
    other = make_caller(admin.project, "editor", person=colleague)
    mine = admin.ok("POST", "/drafts", {"prompt": "support-reply", "content": chat(text="mine")}, status=201)
    theirs = other.ok("POST", "/drafts", {"prompt": "support-reply", "content": chat(text="theirs")}, status=201)
    assert mine["id"] != theirs["id"]
    problem(other.put(f"/drafts/{mine['id']}", {"revision": 1, "content": chat(text="stolen")}), 404)
    problem(other.delete(f"/drafts/{mine['id']}"), 404)
    assert admin.ok("GET", f"/drafts/{mine['id']}")["content"]["messages"][1]["content"] == "mine"


def test_readers_have_no_drafts(admin: Caller) -> None:
    reader = make_caller(admin.project, "viewer")
    problem(reader.get("/drafts"), 403)
    problem(reader.post("/drafts", {"content": chat()}), 403)
