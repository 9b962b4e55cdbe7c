"""The list of change requests, what waits for whom, and the rules in the settings."""

from __future__ import annotations

import pytest
from django.urls import reverse

from promptops.reviews import services
from promptops.reviews.selectors import code_owners, policies_in_force
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.people import Team
from tests.reviews.pages import path
from tests.reviews.reviewing import merged, proposed, protect, released

pytestmark = pytest.mark.django_db


def titles(page: Page) -> list[str]:
    return [one.text for one in page.all("a", class_="row-link")]


def test_an_empty_list_says_how_to_begin(team: Team) -> None:
    page = Page(signed_in(team.editor).get(path("list")))
    assert "No change was proposed yet" in page.text
    assert page.link("Choose a prompt") == reverse("prompts:list", args=["team"])


def test_each_finds_what_waits_for_them(team: Team) -> None:
    protect(team)
    asked = proposed(team, team.prompt("one").prompt, title="Asked", reviewers=[team.reviewer])
    proposed(team, team.prompt("two").prompt, title="Nobody asked")
    reviewer, editor = signed_in(team.reviewer), signed_in(team.editor)
    page = Page(reviewer.get(path("list", query="?show=waiting")))
    assert titles(page) == ["Asked"]
    assert page.one("a", title="Changes").one(class_="count").text == "1 wait for you"
    assert "Nothing waits for you" in Page(editor.get(path("list", query="?show=waiting"))).text

    services.request_changes(team.actor("reviewer"), asked, body="Shorter.")
    assert titles(Page(reviewer.get(path("list", query="?show=waiting")))) == []
    assert titles(Page(editor.get(path("list", query="?show=waiting")))) == ["Asked"]
    panel = Page(editor.get(path("home-panel"), headers=HTMX))
    assert panel.link(f"#{asked.number} Asked") == path("detail", asked.number)


def test_it_is_narrowed_by_state_prompt_and_label_and_kept_as_csv(team: Team) -> None:
    done = merged(team, proposed(team, released(team).prompt, title="Done"))
    proposed(team, team.prompt("other").prompt, title="Still open", label="staging")
    client = signed_in(team.viewer)
    assert titles(Page(client.get(path("list")))) == ["Still open"]
    assert titles(Page(client.get(path("list", query="?show=merged")))) == ["Done"]
    assert titles(Page(client.get(path("list", query="?show=all")))) == ["Still open", "Done"]
    assert titles(Page(client.get(path("list", query="?show=all&prompt=greeting")))) == ["Done"]
    assert titles(Page(client.get(path("list", query="?show=all&label=staging")))) == ["Still open"]
    assert "Nothing found" in Page(client.get(path("list", query="?show=all&prompt=nobody"))).text
    rows = csv_rows(client.get(path("list-csv", query="?show=merged")))
    assert rows[1][:7] == [str(done.number), "Done", "greeting", "production", "1", "2", "merged"]


def test_pages_follow_one_another_without_a_gap(team: Team) -> None:
    prompt = team.prompt().prompt
    for number in range(52):
        proposed(team, prompt, f"Greet {{{{ name }}}} {number} times.", title=f"Number {number}", draft=True)
    client = signed_in(team.viewer)
    first = Page(client.get(path("list")))
    second = Page(client.get(path("list") + first.link("Next")))
    assert len(titles(first)) == 50
    assert sorted({*titles(first), *titles(second)}) == sorted(f"Number {number}" for number in range(52))


def test_a_list_asks_the_database_a_fixed_number_of_times(
    team: Team, django_assert_max_num_queries: pytest.FixtureRequest
) -> None:
    for number in range(8):
        proposed(team, team.prompt(f"prompt-{number}").prompt)
    client = signed_in(team.viewer)
    client.get(path("list"))
    with django_assert_max_num_queries(14):  # type: ignore[operator]
        client.get(path("list"))


def test_a_label_is_protected_changed_and_set_free(team: Team) -> None:
    client = signed_in(team.admin)
    assert "No label is protected" in Page(client.get(path("policies"))).text
    given = {"label": "production", "protected": "on", "required_approvals": 2, "hold_hours": 24, "checks": ["lint"]}
    client.post(path("policy-set"), given)
    (policy,) = policies_in_force(team.project)
    assert (policy.required_approvals, policy.checks, policy.hold_seconds) == (2, ["lint"], 24 * 3600)
    page = Page(client.get(path("policies")))
    assert "24 h 0 min" in page.text
    form = Page(client.get(page.link("Edit")))
    assert form.values()["required_approvals"] == "2"
    assert form.values()["hold_hours"] == "24"
    client.post(path("policy-remove", policy.pk))
    assert policies_in_force(team.project) == []


def test_a_rule_is_for_one_place_and_mistakes_keep_what_was_typed(team: Team) -> None:
    prompt = team.prompt("greeting", folder="support").prompt
    client = signed_in(team.admin)
    given = {"label": "production", "protected": "on", "required_approvals": 1, "hold_hours": 0}
    page = Page(client.post(path("policy-set"), {**given, "folder": "support", "prompt": "greeting"}), 422)
    assert "for a folder or for a prompt, not for both" in page.errors()
    assert page.values()["folder"] == "support"
    page = Page(client.post(path("policy-set"), {**given, "prompt": "nobody"}), 422)
    assert "no such prompt" in page.errors()
    client.post(path("policy-set"), {**given, "prompt": "greeting"})
    assert [one.prompt for one in policies_in_force(team.project)] == [prompt]


def test_a_label_that_no_service_could_ask_for_is_not_protected(team: Team) -> None:
    given = {"label": "v1.2", "protected": "on", "required_approvals": 1, "hold_hours": 0}
    page = Page(signed_in(team.admin).post(path("policy-set"), given), 422)
    assert "hyphens and underscores" in page.errors()
    assert policies_in_force(team.project) == []


def test_owners_of_a_folder_are_named(team: Team) -> None:
    client = signed_in(team.admin)
    client.post(path("owners-set"), {"folder": "support/email", "people": [team.reviewer.pk, team.editor.pk]})
    (row,) = code_owners(team.project)
    assert row.people == sorted([team.reviewer.pk, team.editor.pk])
    form = Page(client.get(path("owners-set", query="?folder=support/email")))
    chosen = {one.attributes["value"] for one in form.all("input", name="people") if "checked" in one.attributes}
    assert chosen == {str(team.reviewer.pk), str(team.editor.pk)}


def test_everybody_reads_the_rules_and_admins_set_them(team: Team) -> None:
    protect(team)
    page = Page(signed_in(team.viewer).get(path("policies")))
    assert "production" in page.text
    assert not page.content.all("form")
    assert signed_in(team.reviewer).get(path("policy-set")).status_code == 403


def test_saving_and_releasing_lead_to_a_proposal(team: Team) -> None:
    prompt = released(team).prompt
    protect(team)
    proposed(team, prompt)
    client = signed_in(team.editor)
    page = Page(client.get(reverse("prompts:version-detail", args=["team", "greeting", 2])))
    assert page.link("Propose…") == path("propose", "greeting", query="?version=2")
    given = {"label": "production", "version": 2, "expected": 1}
    told = Page(client.post(reverse("prompts:label-move", args=["team", "greeting"]), given), 409)
    assert "is protected" in told.errors()
    assert told.link("Propose it for review instead") == path(
        "propose", "greeting", query="?label=production&version=2"
    )
