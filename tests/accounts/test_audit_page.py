"""The audit page: every event with names instead of ids, filters, CSV, and the verification of the chain."""

import datetime as dt
import json
from typing import Any

import pytest
from django.utils import timezone

from promptops.accounts.models import Membership, User
from promptops.accounts.services import change_role, create_invitation, remove_member
from promptops.audit.models import AuditEvent
from promptops.prompts.services import move_label
from tests import services
from tests.access.world import furnish_team
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.people import Team, make_team

LOG = "/p/team/audit/"


def rows(page: Page) -> list[str]:
    return [one.text for one in page.one("section", id="events").all("tr") if one.attributes.get("id")]


def acts(page: Page) -> list[str]:
    return [one.text for one in page.one("section", id="events").all("a", class_="chip")]


def test_it_tells_who_did_what_to_what_by_name(team: Team) -> None:
    version = team.prompt("greeting")
    move_label(team.actor("editor"), version.prompt, "production", version, reason="go")
    create_invitation(team.actor("admin"), team.project, role="viewer", note="Zed")
    page = Page(signed_in(team.admin).get(LOG))
    assert acts(page)[:4] == ["invitation.created", "label.moved", "version.created", "prompt.created"]
    invited, moved = rows(page)[:2]
    assert "Admin invitation.created invitation Zed" in invited
    assert "Editor label.moved prompt greeting" in moved
    assert "label production" in moved
    assert page.one("section", id="events").all("a", href="/p/team/prompts/greeting/")
    member = Membership.objects.get(project=team.project, user=team.editor)
    assert f"/p/team/settings/members/{member.pk}/" in page.links()


def test_it_names_what_every_app_leaves_behind(team: Team) -> None:
    world = furnish_team(team)
    page = Page(signed_in(team.admin).get(LOG))
    text = " ".join(rows(page))
    assert f"batch.started batch {world.batch.pk}" in text
    assert "endpoint.created endpoint own-endpoint" in text
    assert "credential.created credential own key" in text
    assert "token.created token spare" in text
    assert "member.added user Spare" in text
    assert "project.created project Project team" in text


def test_a_token_acts_for_its_person(team: Team) -> None:
    secret = team.token("editor")
    body = {
        "slug": "by-rest",
        "kind": "chat",
        "syntax": "jinja",
        "messages": [{"role": "user", "content": "Hi"}],
        "message": "m",
    }
    answer = signed_in(team.viewer).post(
        "/api/v1/prompts", json.dumps(body), "application/json", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 201
    row = rows(Page(signed_in(team.admin).get(LOG, {"action": "prompt.created"})))[0]
    assert "test editor token for Owner prompt.created prompt by-rest" in row


def test_people_who_left_keep_their_name_and_lose_the_link(team: Team) -> None:
    team.prompt("greeting", by="editor")
    member = Membership.objects.get(project=team.project, user=team.editor)
    url = f"/p/team/settings/members/{member.pk}/"
    assert url in Page(signed_in(team.admin).get(LOG, {"action": "prompt.created"})).links()
    remove_member(team.actor("admin"), member)
    page = Page(signed_in(team.admin).get(LOG, {"action": "prompt.created"}))
    assert "Editor prompt.created" in rows(page)[0]
    assert url not in page.links()
    removed = rows(Page(signed_in(team.admin).get(LOG, {"action": "member.removed"})))[0]
    assert "member.removed user Editor" in removed


def test_an_object_that_is_gone_keeps_its_id(team: Team) -> None:
    AuditEvent.objects.create(
        chain=team.project.pk,
        at=timezone.now(),
        actor_kind="user",
        actor_id=999_999,
        user_id=999_999,
        action="thing.done",
        target_kind="spaceship",
        target_id="<b>enterprise</b>",
        payload=json.dumps({"detail": {"note": "<script>alert(1)</script>", "list": ["a", "b"], "none": None}}),
    )
    page = Page(signed_in(team.admin).get(LOG, {"action": "thing.done"}))
    assert "user 999999 thing.done spaceship <b>enterprise</b>" in rows(page)[0]
    assert "list a b" in rows(page)[0]
    assert "<b>enterprise" not in page.source
    assert "<script>alert(1)" not in page.source


def test_it_filters_by_each_of_its_fields(team: Team) -> None:
    version = team.prompt("greeting", by="editor")
    team.prompt("other", by="reviewer")
    client = signed_in(team.admin)
    find = {
        "action": {"action": "version.created"},
        "kind": {"kind": "prompt"},
        "object": {"kind": "prompt", "object": str(version.prompt.pk)},
        "person": {"person": str(team.reviewer.pk)},
    }
    found = {name: acts(Page(client.get(LOG, query, headers=HTMX))) for name, query in find.items()}
    assert found == {
        "action": ["version.created", "version.created"],
        "kind": ["version.created", "prompt.created"] * 2,
        "object": ["version.created", "prompt.created"],
        "person": ["version.created", "prompt.created"],
    }
    page = Page(client.get(LOG, find["person"]))
    assert page.is_whole
    assert page.values()["person"] == str(team.reviewer.pk)


def test_it_filters_by_time_in_utc(team: Team) -> None:
    client = signed_in(team.admin)
    everything = len(rows(Page(client.get(LOG))))
    AuditEvent.objects.create(
        chain=team.project.pk,
        at=dt.datetime(2020, 5, 4, 14, 3, tzinfo=dt.UTC),
        actor_kind="system",
        action="old.one",
        target_kind="x",
        target_id="1",
        payload='{"detail": {}}',
    )
    assert acts(Page(client.get(LOG, {"until": "2021-01-01T00:00"}))) == ["old.one"]
    page = Page(client.get(LOG, {"since": "2020-05-04T14:03", "until": "2020-05-04T14:04"}))
    assert acts(page) == ["old.one"]
    assert page.values()["since"] == "2020-05-04T14:03"
    assert len(rows(Page(client.get(LOG, {"since": "2020-05-04T14:04"})))) == everything


@pytest.mark.parametrize(
    "query",
    [
        {"person": "nobody"},
        {"person": "9" * 40},
        {"person": "٣"},
        {"since": "yesterday"},
        {"until": "2020-99-99T99:99"},
        {"action": "\x00"},
    ],
)
def test_nonsense_in_the_link_still_shows_the_log(team: Team, query: dict[str, str]) -> None:
    assert len(rows(Page(signed_in(team.admin).get(LOG, query)))) > 4


def test_it_says_so_when_nothing_is_like_that(team: Team) -> None:
    page = Page(signed_in(team.admin).get(LOG, {"action": "never.happened"}))
    assert "Nothing like that happened" in page.text
    assert page.link("Show every event") == LOG


def test_it_pages_without_losing_or_repeating_an_event(team: Team) -> None:
    member = Membership.objects.get(project=team.project, user=team.viewer)
    for number in range(60):
        change_role(team.actor("admin"), member, role="editor" if number % 2 else "viewer")
    client = signed_in(team.admin)
    query = {"action": "member.role_changed"}
    first = Page(client.get(LOG, query))
    second = Page(client.get(f"{LOG}{first.link('Next')}"))
    ids = [[one.attributes["id"] for one in page.all("tr") if "id" in one.attributes] for page in (first, second)]
    assert [len(found) for found in ids] == [50, 10]
    assert len(set(ids[0] + ids[1])) == 60
    assert set(acts(second)) == {"member.role_changed"}  # the filter goes along
    Page(client.get(LOG, {"cursor": "nonsense"}), 422)


def test_it_shows_and_exports_nothing_of_another_project(team: Team) -> None:
    own = signed_in(team.outsider)
    page = Page(own.get("/p/team-elsewhere/audit/"))
    assert set(acts(page)) == {"project.created", "endpoint.created"}
    assert len(csv_rows(own.get("/p/team-elsewhere/audit/csv/"))) == 3


def test_it_exports_all_pages_as_csv(team: Team) -> None:
    member = Membership.objects.get(project=team.project, user=team.viewer)
    for number in range(220):  # more than the largest page
        change_role(team.actor("admin"), member, role="editor" if number % 2 else "viewer")
    User.objects.filter(pk=team.viewer.pk).update(name="@SUM(1)")
    exported = csv_rows(signed_in(team.admin).get(f"{LOG}csv/?action=member.role_changed"))
    assert len(exported) == 221
    first = dict(zip(exported[0], exported[1], strict=True))
    assert (first["actor"], first["action"], first["target"]) == ("Admin", "member.role_changed", "'@SUM(1)")
    assert json.loads(first["detail"]) == {"role": "editor"}
    assert len({row[1] for row in exported[1:]}) == 220


def test_it_asks_as_often_however_many_events_there_are(team: Team, django_assert_max_num_queries: Any) -> None:
    client = signed_in(team.admin)
    team.prompt("first")
    with django_assert_max_num_queries(17):
        client.get(LOG)
    for number in range(20):
        team.prompt(f"prompt-{number}")
    with django_assert_max_num_queries(17):
        client.get(LOG)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("reviewer", 403), ("outsider", 404)])
@pytest.mark.parametrize("page", ["", "csv/", "verify/"])
def test_only_admins_read_it(team: Team, role: str, status: int, page: str) -> None:
    assert signed_in(getattr(team, role)).get(f"{LOG}{page}").status_code == status


# --- The chain (its links are made when a transaction commits) --------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_button_says_that_the_chain_holds() -> None:
    team = make_team()
    client = signed_in(team.admin)
    page = Page(client.get(f"{LOG}verify/", headers=HTMX))
    assert not page.is_whole
    assert f"The chain holds: {AuditEvent.objects.filter(chain=team.project.pk).count()} events" in page.text
    head = AuditEvent.objects.filter(chain=team.project.pk).order_by("-id")[0].link.hash
    assert bytes(head).hex() in page.text
    assert Page(client.get(f"{LOG}verify/")).is_whole

    log = Page(client.get(LOG))
    assert rows(log)[-1].startswith("1 ")
    assert bytes(head).hex() in log.text


@pytest.mark.django_db(transaction=True)
def test_the_button_says_where_the_chain_is_broken(session_directory: Any, database_name: str) -> None:
    team = make_team()
    with services.role(session_directory, database_name, "promptops_owner") as owner:
        owner.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER USER")
        owner.execute(
            "UPDATE audit_auditevent SET payload = replace(payload, 'viewer', 'admin') "
            f"WHERE chain = {team.project.pk} AND target_id = '{team.viewer.pk}'"
        )
        owner.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER USER")
        owner.commit()
    number = AuditEvent.objects.get(chain=team.project.pk, target_id=str(team.viewer.pk)).link.number
    page = Page(signed_in(team.admin).get(f"{LOG}verify/", headers=HTMX))
    assert f"The chain is broken at event number {number}" in page.text
    assert "does not say any more what it said" in page.text
    assert len(page.all("div", role="alert")) == 1
