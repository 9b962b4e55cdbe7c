"""Labels in the browser: where they stand, moving, rolling back, taking off, and what served when."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from promptops.prompts.models import Label, LabelMove, Prompt
from promptops.prompts.services import archive_prompt, create_version, move_label, remove_label, rollback_label
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.people import GREETING, Team
from tests.prompts.pages import page, said, versions

LABELS = page("labels", "greeting")
MOVE = page("label-move", "greeting")


@pytest.fixture
def prompt(team: Team) -> Prompt:
    """Three versions; `production` went from 1 to 2, `staging` stands at 3."""
    one, two, three = versions(team, 3)
    move_label(team.actor("editor"), one.prompt, "production", one, reason="first release")
    move_label(team.actor("reviewer"), one.prompt, "production", two, reason="shorter answers")
    move_label(team.actor("editor"), one.prompt, "staging", three)
    return three.prompt


def at(prompt: Prompt, name: str = "production") -> int | None:
    label = Label.objects.select_related("version").get(prompt=prompt, name=name)
    return label.version.number if label.version else None


def given(**changes: Any) -> dict[str, Any]:
    return {"label": "production", "version": 3, "reason": "tried for a week", "expected": 2, **changes}


def test_every_label_says_where_it_stands_since_when_by_whom_and_why(team: Team, prompt: Prompt) -> None:
    shown = Page(signed_in(team.viewer).get(LABELS))
    rows = shown.one("tbody").all("tr")
    assert [row.one("a", class_="row-link").text for row in rows] == ["production", "staging"]
    assert "Version 2 newest is 3" in rows[0].text
    assert "Reviewer" in rows[0].text
    assert "shorter answers" in rows[0].text
    assert "newest is" not in rows[1].text
    assert not shown.content.all("form")  # a viewer moves nothing


def test_the_page_asks_the_same_few_questions_however_long_the_history_is(team: Team, prompt: Prompt) -> None:
    one, two = prompt.versions.order_by("number")[:2]
    for _again in range(20):
        move_label(team.actor("editor"), prompt, "production", one)
        move_label(team.actor("editor"), prompt, "production", two)
    browser = signed_in(team.editor)
    browser.get(LABELS)
    with CaptureQueriesContext(connection) as asked:
        shown = Page(browser.get(LABELS))
    # Session, person, project, role, prompt; labels, last moves, what to roll back to.
    assert len(asked) == 12, [one["sql"][:100] for one in asked]
    assert "Roll back to v1" in shown.text


def test_nothing_released_says_what_to_do(team: Team) -> None:
    team.prompt()
    writer, reader = (Page(signed_in(person).get(LABELS)) for person in (team.editor, team.viewer))
    assert "Nothing is released yet" in writer.text
    assert writer.link("Put production on a version") == MOVE
    assert MOVE not in reader.links()


def test_the_dialog_says_what_the_move_would_change(team: Team, prompt: Prompt) -> None:
    create_version(team.actor("editor"), prompt, {**GREETING, "messages": said("text 3 for {{ city }}")})
    browser = signed_in(team.editor)
    dialog = Page(browser.get(f"{MOVE}?label=production&version=4", headers=HTMX))

    assert not dialog.is_whole
    assert "data-dialog-auto" in dialog.one("dialog").attributes
    assert dialog.values() | {"csrfmiddlewaretoken": ""} == {
        "csrfmiddlewaretoken": "",
        "label": "production",
        "other": "",
        "version": "4",
        "expected": "2",
        "reason": "",
    }
    assert "“production” goes from version 2 to 4" in dialog.text
    assert "words" in dialog.one("ul", class_="change-summary").text
    assert "“city” must be given now" in dialog.one("div", class_="warning").text
    whole = Page(browser.get(f"{MOVE}?label=production&version=4"))
    assert whole.is_whole
    assert not whole.all("dialog", id="label-dialog")
    assert whole.values()["label"] == "production"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?label=canary&version=2", "“canary” stands nowhere yet. Services that ask for it get version 2"),
        ("?label=production&version=2", "“production” stands at version 2 already"),
        ("?other=canary&label=", "“canary” stands nowhere yet"),
        ("?label=production&version=99", ""),
        ("?label=production&version=²", ""),
        (f"?label=production&version={10**30}", ""),
        ("", ""),
    ],
)
def test_the_dialog_follows_what_is_chosen(team: Team, prompt: Prompt, query: str, says: str) -> None:
    dialog = Page(signed_in(team.editor).get(f"{MOVE}{query}", headers=HTMX))
    assert says in dialog.one("div", id="move-standing").text


def test_the_first_release_offers_production(team: Team) -> None:
    team.prompt()
    dialog = Page(signed_in(team.editor).get(MOVE, headers=HTMX))
    assert dialog.values()["label"] == "production"
    assert dialog.values()["expected"] == "0"


def test_an_old_version_is_offered_too_when_it_was_asked_for(team: Team) -> None:
    prompt = versions(team, 103)[0].prompt
    dialog = Page(signed_in(team.editor).get(f"{page('label-move', prompt)}?version=1", headers=HTMX))
    options = [option.attributes["value"] for option in dialog.one("select").all("option")]
    assert dialog.values()["version"] == "1"
    assert (len(options), options[0], options[-2:]) == (101, "103", ["4", "1"])


def test_a_label_is_moved_with_its_reason(team: Team, prompt: Prompt) -> None:
    browser = signed_in(team.editor)
    answer = browser.post(MOVE, given())
    assert (answer.status_code, answer["Location"]) == (302, LABELS)
    assert Page(browser.get(LABELS)).notices() == ["“production” stands at version 3 now."]
    move = LabelMove.objects.latest("id")
    assert (move.to_version and move.to_version.number, move.reason, move.actor_user) == (
        3,
        "tried for a week",
        team.editor,
    )


def test_htmx_is_led_to_the_labels_after_a_move(team: Team, prompt: Prompt) -> None:
    answer = signed_in(team.editor).post(MOVE, given(label="", other="canary", expected=0), headers=HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, LABELS)
    assert at(prompt, "canary") == 3


def test_moving_to_where_it_stands_says_so(team: Team, prompt: Prompt) -> None:
    browser = signed_in(team.editor)
    browser.post(MOVE, given(version=2))
    assert Page(browser.get(LABELS)).notices() == ["“production” stood there already."]
    assert LabelMove.objects.count() == 3


def test_a_mover_who_has_not_seen_the_last_move_is_shown_it_first(team: Team, prompt: Prompt) -> None:
    one = prompt.versions.get(number=1)
    move_label(team.actor("reviewer"), prompt, "production", one, reason="complaints")
    browser = signed_in(team.editor)

    refused = Page(browser.post(MOVE, given(), headers=HTMX), 409)
    assert not refused.is_whole
    assert "“production” stands at v1 now; somebody moved it meanwhile" in refused.errors()
    assert refused.values()["reason"] == "tried for a week"
    assert refused.values()["expected"] == "1"
    assert "from version 1 to 3" in refused.text
    assert "Move it all the same" in refused.text
    assert at(prompt) == 1

    again = refused.values()
    assert browser.post(MOVE, again, headers=HTMX).status_code == 204
    assert at(prompt) == 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"label": "", "other": ""}, "Choose a label"),
        ({"label": "", "other": "Not A Label"}, "lower-case letters"),
        ({"label": "latest"}, "computed"),
        ({"label": "production\n\n"}, ""),
        ({"version": 99}, "no version 99"),
        ({"version": ""}, "required"),
        ({"version": "x"}, "whole number"),
        ({"version": str(2**31)}, "less than or equal"),
        ({"reason": "x" * 2001}, "2000"),
        ({"reason": "a\x00b"}, "Null"),
    ],
)
def test_a_malformed_move_keeps_what_was_typed(
    team: Team, prompt: Prompt, changes: dict[str, Any], complaint: str
) -> None:
    browser = signed_in(team.editor)
    answer = browser.post(MOVE, given(**changes), headers=HTMX)
    if not complaint:  # space around a name is no mistake
        assert answer.status_code == 204
        return
    shown = Page(answer, 422)
    assert complaint in shown.errors()
    if "reason" not in changes:
        assert shown.values()["reason"] == "tried for a week"
    assert at(prompt) == 2
    assert Page(browser.post(MOVE, given(**changes)), 422).is_whole


def test_one_click_rolls_back_to_the_version_that_the_button_names(team: Team, prompt: Prompt) -> None:
    browser = signed_in(team.editor)
    path = page("label-rollback", prompt, "production")
    form = Page(browser.get(LABELS)).one("form", action=path)
    assert form.one("button").text == "Roll back to v1"
    assert "data-confirm" not in form.attributes
    sent = {one.attributes["name"]: one.attributes["value"] for one in form.all("input")}

    assert browser.post(path, sent)["Location"] == LABELS
    shown = Page(browser.get(LABELS))
    assert shown.notices() == ["“production” is back at version 1."]
    assert "rolled back" in shown.one("tbody").all("tr")[0].text
    assert at(prompt) == 1
    assert LabelMove.objects.latest("id").authority == LabelMove.Authority.ROLLBACK


def test_a_roll_back_of_what_was_moved_meanwhile_is_refused(team: Team, prompt: Prompt) -> None:
    three = prompt.versions.get(number=3)
    move_label(team.actor("reviewer"), prompt, "production", three)
    browser = signed_in(team.editor)
    browser.post(page("label-rollback", prompt, "production"), {"version": 1, "expected": 2})
    assert "somebody moved it meanwhile" in Page(browser.get(LABELS)).notices()[0]
    assert at(prompt) == 3


def test_a_roll_back_to_what_never_stood_there_is_refused(team: Team, prompt: Prompt) -> None:
    browser = signed_in(team.editor)
    browser.post(page("label-rollback", prompt, "production"), {"version": 3, "expected": 2})
    assert "nothing to roll back to" in Page(browser.get(LABELS)).notices()[0]
    assert signed_in(team.editor).post(page("label-rollback", prompt, "nobody")).status_code == 404
    nul = browser.post(page("label-rollback", prompt, "production"), {"version": 1, "reason": "a\x00b"})
    assert "NUL" in Page(nul, 422).text
    assert at(prompt) == 2


def test_taking_a_label_off_asks_first_and_can_be_rolled_back(team: Team, prompt: Prompt) -> None:
    browser = signed_in(team.editor)
    path = page("label-remove", prompt, "staging")
    form = Page(browser.get(LABELS)).one("form", action=path)
    assert "get an error" in form.attributes["data-confirm"]

    browser.post(path, {"expected": 3})
    shown = Page(browser.get(LABELS))
    assert "No version is “staging” any more" in shown.notices()[0]
    row = shown.one("tbody").all("tr")[1]
    assert "taken off" in row.text
    assert "Roll back to v3" in row.text
    assert at(prompt, "staging") is None
    browser.post(page("label-rollback", prompt, "staging"), {"version": 3, "expected": 0})
    assert at(prompt, "staging") == 3


def test_taking_off_what_was_moved_meanwhile_is_refused(team: Team, prompt: Prompt) -> None:
    browser = signed_in(team.editor)
    browser.post(page("label-remove", prompt, "production"), {"expected": 1})
    assert at(prompt) == 2


def test_an_archived_prompt_releases_nothing(team: Team, prompt: Prompt) -> None:
    archive_prompt(team.actor("editor"), prompt)
    browser = signed_in(team.editor)
    assert "archived" in Page(browser.post(MOVE, given(), headers=HTMX), 409).errors()
    browser.post(page("label-rollback", prompt, "production"), {"version": 1})
    browser.post(page("label-remove", prompt, "production"), {})
    assert at(prompt) == 2
    assert LabelMove.objects.count() == 3


@pytest.mark.parametrize("method", ["get", "post"])
def test_only_who_may_write_moves(team: Team, prompt: Prompt, method: str) -> None:
    assert getattr(signed_in(team.viewer), method)(MOVE).status_code == 403
    assert getattr(signed_in(team.outsider), method)(MOVE).status_code == 404
    assert getattr(Client(), method)(MOVE).status_code == 302
    assert LabelMove.objects.count() == 3


def test_the_history_tells_every_move(team: Team, prompt: Prompt) -> None:
    rollback_label(team.actor("editor"), prompt, "production", reason="complaints")
    remove_label(team.actor("editor"), prompt, "production")
    shown = Page(signed_in(team.viewer).get(page("label-history", prompt, "production")))
    rows = [row.text for row in shown.one("tbody").all("tr")]
    assert len(rows) == 4
    assert "From v1 To taken off Editor" in rows[0].replace("  ", " ") or "v1 taken off Editor" in rows[0]
    assert "rolled back complaints" in rows[1]
    assert "v1 v2 Reviewer shorter answers" in rows[2]
    assert "nowhere v1 Editor first release" in rows[3]
    assert page("diff", prompt, query="?from=1&to=2") in shown.links()
    assert signed_in(team.viewer).get(page("label-history", prompt, "nobody")).status_code == 404


def test_it_answers_what_served_at_a_moment(team: Team, prompt: Prompt) -> None:
    moved = list(LabelMove.objects.filter(label__name="production").order_by("id"))
    browser = signed_in(team.viewer)

    def served(moment: dt.datetime | str) -> str:
        text = moment if isinstance(moment, str) else f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}"
        shown = Page(browser.get(page("label-history", prompt, "production"), {"at": text}, headers=HTMX))
        assert not shown.is_whole
        found = shown.all("div", class_="served-answer")
        return found[0].text if found else shown.errors()

    assert "did not exist then" in served(moved[0].at - dt.timedelta(seconds=1))
    assert "Version 1 served" in served(moved[0].at)
    assert "first release" in served(moved[1].at - dt.timedelta(microseconds=1))
    assert "Version 2 served" in served(moved[1].at)
    # In another offset it is the same moment.
    east = moved[0].at.astimezone(dt.timezone(dt.timedelta(hours=8)))
    assert "Version 1 served" in served(east.isoformat())
    remove_label(team.actor("editor"), prompt, "production")
    assert "Nothing served" in served(timezone.now() + dt.timedelta(days=1))


@pytest.mark.parametrize(
    "asked", ["yesterday", "2026-13-45T99:99", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00+14:00"]
)
def test_a_time_that_is_none_is_answered_in_words(team: Team, prompt: Prompt, asked: str) -> None:
    shown = Page(signed_in(team.viewer).get(page("label-history", prompt, "production"), {"at": asked}))
    assert "This is not a time" in shown.errors() or shown.all("div", class_="served-answer")
    if "not a time" in shown.errors():
        assert shown.values()["at"] == asked


def test_a_long_history_is_paged(team: Team, prompt: Prompt) -> None:
    one, two = prompt.versions.order_by("number")[:2]
    for _again in range(30):
        move_label(team.actor("editor"), prompt, "production", one)
        move_label(team.actor("editor"), prompt, "production", two)
    browser = signed_in(team.viewer)
    first = Page(browser.get(page("label-history", prompt, "production")))
    rest = Page(
        browser.get(page("label-history", prompt, "production", query=first.one("a", rel="next").attributes["href"]))
    )
    assert [len(shown.one("tbody").all("tr")) for shown in (first, rest)] == [50, 12]
    assert "first release" in rest.text


def test_the_history_is_exported_and_runs_no_formula(team: Team, prompt: Prompt) -> None:
    move_label(team.actor("editor"), prompt, "production", prompt.versions.get(number=3), reason="=1+1")
    rows = csv_rows(signed_in(team.viewer).get(page("label-history-csv", prompt, "production")))
    assert rows[0] == ["at", "label", "from_version", "to_version", "how", "by", "reason"]
    assert rows[1][1:] == ["production", "2", "3", "direct", "Editor", "'=1+1"]
    assert rows[3][1:] == ["production", "", "1", "direct", "Editor", "first release"]
    assert signed_in(team.viewer).get(page("label-history-csv", prompt, "nobody")).status_code == 404
