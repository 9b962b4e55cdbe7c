"""Labels by REST: releasing, rolling back, and what a service gets."""

from __future__ import annotations

from typing import Any

import pytest

from promptops.audit.querysets import events_of
from promptops.prompts.models import Label, LabelMove
from tests.api.client import Caller, chat, make_caller, make_project, problem

pytestmark = pytest.mark.django_db
PATH = "/prompts/support-reply/labels/production"


@pytest.fixture
def released(admin: Caller) -> Caller:
    """Three versions; `production` went from 1 to 2."""
    admin.make_prompt()
    for text in ("two", "three"):
        admin.ok("POST", "/prompts/support-reply/versions", chat(text=text), status=201)
    admin.ok("PUT", PATH, {"version": 2, "reason": "shorter"})
    return admin


def served(caller: Caller) -> Any:
    answer = caller.get("/prompts/support-reply/resolve")
    return answer.json()["version"] if answer.status_code == 200 else answer.json()["code"]


def test_a_moved_label_is_what_a_service_gets(released: Caller) -> None:
    assert served(released) == 2
    moved = released.ok("PUT", PATH, {"version": 3, "reason": "tried for a week", "expected": 2})
    assert (moved["label"], moved["version"]) == ("production", 3)
    assert served(released) == 3
    assert released.ok("GET", "/prompts/support-reply")["labels"] == {"production": 3}
    assert released.ok("GET", "/prompts/support-reply/labels") == [moved]
    assert released.ok("GET", "/prompts/support-reply/versions/3")["labels"] == ["production"]


def test_moving_to_where_it_stands_is_no_move(released: Caller) -> None:
    before = released.ok("GET", "/prompts/support-reply/labels")
    assert [released.ok("PUT", PATH, {"version": 2})] == before
    assert LabelMove.objects.count() == 2


def test_a_label_is_made_by_its_first_move(released: Caller) -> None:
    assert released.ok("PUT", "/prompts/support-reply/labels/eu-west_2", {"version": 1})["version"] == 1
    assert released.ok("GET", "/prompts/support-reply/resolve?label=eu-west_2")["label"] == "eu-west_2"


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        (PATH, {"version": 9}, 404, ""),
        (PATH, {"version": 0}, 404, ""),
        (PATH, {"version": 2**40}, 404, ""),
        (PATH, {"version": "three"}, 422, "version"),
        (PATH, {}, 422, "version"),
        (PATH, {"version": 1, "why": "x"}, 422, "why"),
        (PATH, {"version": 1, "reason": "x" * 2001}, 422, "reason"),
        (PATH + "%0A", {"version": 1}, 422, "label"),
        (PATH + "%20", {"version": 1}, 422, "label"),
        ("/prompts/support-reply/labels/latest", {"version": 1}, 422, "label"),
        ("/prompts/nobody/labels/production", {"version": 1}, 404, ""),
    ],
)
def test_a_move_that_cannot_be_is_refused_and_moves_nothing(
    released: Caller, path: str, body: dict[str, Any], status: int, field: str
) -> None:
    errors = problem(released.put(path, body), status).get("errors") or {}
    assert not field or field in errors
    assert served(released) == 2
    assert Label.objects.count() == 1


def test_rolling_back_goes_to_the_version_before_or_to_a_named_one(released: Caller) -> None:
    assert released.ok("POST", f"{PATH}/rollback", {"reason": "complaints"})["version"] == 1
    assert released.ok("POST", f"{PATH}/rollback", {"version": 2})["version"] == 2
    problem(released.post(f"{PATH}/rollback", {"version": 3}), 409, "never_live")
    problem(released.post(f"{PATH}/rollback", {"version": 9}), 404)
    problem(released.post("/prompts/support-reply/labels/staging/rollback"), 404)
    assert served(released) == 2


def test_a_roll_back_twice_under_one_key_happens_once(released: Caller) -> None:
    first = released.post(f"{PATH}/rollback", {}, key="undo-1")
    again = released.post(f"{PATH}/rollback", {}, key="undo-1")
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert served(released) == 1
    assert LabelMove.objects.count() == 3


def test_who_has_not_seen_the_last_move_undoes_nothing(released: Caller) -> None:
    for answer in (
        released.put(PATH, {"version": 3, "expected": 1}),
        released.post(f"{PATH}/rollback", {"expected": 1}),
        released.delete(f"{PATH}?expected=1"),
    ):
        assert problem(answer, 409, "label_moved")["version"] == 2
    assert served(released) == 2
    assert released.delete(f"{PATH}?expected=2&reason=over").status_code == 204
    assert served(released) == "label_not_found"


def test_a_label_taken_off_is_not_served_and_keeps_its_history(released: Caller) -> None:
    assert released.delete(f"{PATH}?reason=season+is+over").status_code == 204
    assert served(released) == "label_not_found"
    assert released.ok("GET", "/prompts/support-reply/labels") == []
    assert released.ok("GET", "/prompts/support-reply")["labels"] == {}
    history = released.ok("GET", f"{PATH}/history")["items"]
    assert (history[0]["to_version"], history[0]["reason"]) == (None, "season is over")
    assert released.delete(PATH).status_code == 204
    assert len(released.ok("GET", f"{PATH}/history")["items"]) == 3
    assert released.ok("POST", f"{PATH}/rollback", {})["version"] == 2
    problem(released.delete("/prompts/support-reply/labels/nobody"), 404)


def test_the_history_says_who_by_which_right_and_why(released: Caller) -> None:
    newest, oldest = released.ok("GET", f"{PATH}/history")["items"]
    assert {name: newest[name] for name in ("from_version", "to_version", "authority", "reason", "by")} == {
        "from_version": 1,
        "to_version": 2,
        "authority": "direct",
        "reason": "shorter",
        "by": "admin token",
    }
    assert oldest["from_version"] is None
    problem(released.get("/prompts/support-reply/labels/nobody/history"), 404)
    problem(released.get(f"{PATH}/history?cursor=nonsense"), 422)


def test_every_move_is_in_the_audit_log(released: Caller) -> None:
    released.post(f"{PATH}/rollback", {"reason": "secret reason"})
    events = released.ok("GET", "/audit?target_kind=prompt&action=label.rolled_back")["items"]
    assert [(one["detail"]["label"], one["detail"]["from"], one["detail"]["to"]) for one in events] == [
        ("production", 2, 1)
    ]
    assert "secret reason" not in str(events)
    assert events_of(released.project.pk, action="label.moved").count() == 2


def test_an_archived_prompt_is_not_released(released: Caller) -> None:
    released.ok("POST", "/prompts/support-reply/archive")
    problem(released.put(PATH, {"version": 3}), 409, "archived")
    problem(released.post(f"{PATH}/rollback"), 409, "archived")
    problem(released.delete(PATH), 409, "archived")
    assert len(released.ok("GET", f"{PATH}/history")["items"]) == 2
    problem(released.post("/render", {"prompt": "support-reply", "variables": {}}), 404, "archived")


def test_readers_release_nothing_and_outsiders_see_nothing(released: Caller) -> None:
    reader = make_caller(released.project, "viewer")
    outsider = make_caller(make_project("elsewhere"))
    assert served(reader) == 2
    for caller, status in ((reader, 403), (outsider, 404)):
        problem(caller.put(PATH, {"version": 3}), status)
        problem(caller.post(f"{PATH}/rollback"), status)
        problem(caller.delete(PATH), status)
    problem(outsider.get(f"{PATH}/history"), 404)
    problem(outsider.get("/prompts/support-reply/labels"), 404)
    assert served(released) == 2
