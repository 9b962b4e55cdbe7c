"""The inbox, its bell, the e-mail settings, and the same by REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from promptops.accounts.actors import SYSTEM, user_actor
from promptops.accounts.services import add_member, remove_member
from promptops.notifications.models import Notification
from promptops.notifications.services import emailed_kinds, notify
from tests.html import HTMX, Page, signed_in, toast_of
from tests.people import Team

INBOX = "/inbox/"


def tell(team: Team, person: Any, prompt: str = "greeting", *, project: Any = None) -> Notification:
    project = project or team.project
    notify(
        project,
        [person],
        "label.moved",
        params={"label": "production", "prompt": prompt, "version": 3},
        url=f"/p/{project.slug}/prompts/{prompt}/labels/",
        actor=team.actor("editor"),
    )
    return Notification.objects.filter(user=person).latest("id")


def bell(page: Page) -> str:
    return page.one("span", class_="inbox-count").text


def test_it_shows_what_happened_and_the_bell_counts(team: Team) -> None:
    tell(team, team.viewer)
    tell(team, team.viewer, "other")
    page = Page(signed_in(team.viewer).get(INBOX))
    assert "Editor moved “production” of greeting to your version 3." in page.content.text
    assert "Project team" in page.content.text
    assert bell(page) == "2 unread"


def test_an_empty_inbox_says_what_comes_into_it(team: Team) -> None:
    page = Page(signed_in(team.viewer).get(INBOX))
    assert "Nothing for you yet" in page.content.text
    assert bell(page) == ""


def test_opening_marks_it_read_and_leads_there(team: Team) -> None:
    one = tell(team, team.viewer)
    client = signed_in(team.viewer)
    answer = client.head(reverse("notifications:open", args=[one.pk]))
    one.refresh_from_db()
    assert one.read_at is None, "looking ahead is not reading"
    answer = client.get(reverse("notifications:open", args=[one.pk]))
    assert answer["Location"] == "/p/team/prompts/greeting/labels/"
    one.refresh_from_db()
    assert one.read_at is not None
    assert "You have read everything" in Page(client.get(INBOX)).content.text
    assert "greeting" in Page(client.get(f"{INBOX}?show=all")).content.text


def test_marking_keeps_the_filters_and_rings_the_bell(team: Team) -> None:
    one = tell(team, team.viewer)
    tell(team, team.viewer, "other")
    client = signed_in(team.viewer)
    answer = client.post(f"{reverse('notifications:read', args=[one.pk])}?show=all", headers=HTMX)
    page = Page(answer)
    assert not page.is_whole
    assert "greeting" in page.text
    assert "inbox:changed" in answer.headers["HX-Trigger"]
    assert Page(client.get(reverse("notifications:count"))).text == "1 unread"
    client.post(reverse("notifications:unread", args=[one.pk]), headers=HTMX)
    assert Page(client.get(reverse("notifications:count"))).text == "2 unread"


def test_unread_again_where_the_same_is_unread_already(team: Team) -> None:
    one = tell(team, team.viewer)
    client = signed_in(team.viewer)
    client.post(reverse("notifications:read", args=[one.pk]))
    tell(team, team.viewer)
    assert client.post(reverse("notifications:unread", args=[one.pk])).status_code == 302
    assert Notification.objects.filter(read_at=None).count() == 1


def test_everything_of_one_project_is_marked_read_at_once(team: Team) -> None:
    add_member(SYSTEM, team.elsewhere, team.viewer, role="viewer")
    tell(team, team.viewer)
    tell(team, team.viewer, project=team.elsewhere)
    client = signed_in(team.viewer)
    answer = client.post(f"{reverse('notifications:read-all')}?project={team.project.slug}", headers=HTMX)
    assert toast_of(answer) == "1 notification is marked read."
    assert Notification.objects.get(read_at=None).project == team.elsewhere
    client.post(reverse("notifications:read-all"))
    assert not Notification.objects.filter(read_at=None).exists()


def test_it_filters_by_project(team: Team) -> None:
    add_member(SYSTEM, team.elsewhere, team.viewer, role="viewer")
    tell(team, team.viewer, "first-one")
    tell(team, team.viewer, "second-one", project=team.elsewhere)
    page = Page(signed_in(team.viewer).get(f"{INBOX}?project={team.elsewhere.slug}"))
    assert "second-one" in page.one("table").text
    assert "first-one" not in page.one("table").text


def test_it_pages(team: Team) -> None:
    for number in range(31):
        tell(team, team.viewer, f"prompt-{number}")
    client = signed_in(team.viewer)
    page = Page(client.get(INBOX))
    assert len(page.one("tbody").all("tr")) == 30
    second = Page(client.get(INBOX + page.link("Next")))
    assert "prompt-0" in second.one("tbody").text


def test_nobody_sees_what_is_for_others(team: Team) -> None:
    one = tell(team, team.viewer)
    client = signed_in(team.admin)
    assert "greeting" not in Page(client.get(f"{INBOX}?show=all")).content.text
    for name in ("open", "read", "unread"):
        url = reverse(f"notifications:{name}", args=[one.pk])
        assert (client.get(url) if name == "open" else client.post(url)).status_code == 404


def test_who_left_a_project_no_longer_reads_of_it(team: Team) -> None:
    one = tell(team, team.viewer)
    remove_member(SYSTEM, team.project.memberships.get(user=team.viewer))
    client = signed_in(team.viewer)
    page = Page(client.get(f"{INBOX}?show=all"))
    assert "greeting" not in page.content.text
    assert bell(page) == ""
    assert client.get(reverse("notifications:open", args=[one.pk])).status_code == 404


def test_names_are_text_not_markup(team: Team) -> None:
    tell(team, team.viewer, "<b>bold</b>")
    assert "<b>bold</b>" in Page(signed_in(team.viewer).get(INBOX)).content.text


def test_the_bell_costs_one_query(team: Team, django_assert_num_queries: Any) -> None:
    for number in range(5):
        tell(team, team.viewer, f"prompt-{number}")
    client = signed_in(team.viewer)
    with django_assert_num_queries(3):  # session, person, count
        client.get(reverse("notifications:count"))


def test_emails_are_chosen_in_the_profile(team: Team, settings: Any) -> None:
    client = signed_in(team.viewer)
    assert reverse("notifications:email-settings") in Page(client.get("/profile/")).source
    page = Page(client.get(reverse("notifications:email-settings")))
    assert "This installation sends no e-mail yet" in page.content.text
    settings.EMAIL_ENABLED = True
    answer = client.post(reverse("notifications:email-settings"), {"kinds": ["label.moved"]}, headers=HTMX)
    assert "sends no e-mail" not in Page(answer).text
    assert toast_of(answer) == "Your e-mail settings are saved."
    assert emailed_kinds(team.viewer) == {"label.moved"}
    answer = client.post(reverse("notifications:email-settings"), {"kinds": ["no.such"]}, headers=HTMX)
    assert Page(answer, 422).errors()


@pytest.fixture
def call(team: Team) -> Any:
    from tests.api.client import make_caller

    return make_caller(team.project)


def test_rest_gives_the_notifications_of_who_made_the_token(team: Team, call: Any) -> None:
    maker = call.token.created_by
    add_member(SYSTEM, team.elsewhere, maker, role="viewer")
    mine = tell(team, maker)
    tell(team, maker, project=team.elsewhere)
    tell(team, team.viewer)
    answer = call("GET", "/notifications")
    (item,) = answer.json()["items"]
    assert item["id"] == mine.pk
    assert item["text"] == "Editor moved “production” of greeting to your version 3."
    assert item["url"].endswith("/p/team/prompts/greeting/labels/")
    assert item["read_at"] is None
    assert call("POST", f"/notifications/{mine.pk}/read").json()["read_at"] is not None
    assert call("GET", "/notifications?unread=true").json()["items"] == []


def test_rest_does_not_read_for_others(team: Team, call: Any) -> None:
    other = tell(team, team.viewer)
    assert call("POST", f"/notifications/{other.pk}/read").status_code == 404
    other.refresh_from_db()
    assert other.read_at is None


def test_it_says_who_did_it(team: Team) -> None:
    from promptops.notifications.presenters import told_of

    one = tell(team, team.viewer)
    assert told_of(one).text.startswith("Editor ")
    one.actor_kind = "token"
    assert told_of(one).text.startswith("Editor (by API token) ")
    one.actor_kind, one.actor_user = "system", None
    assert told_of(one).text.startswith("PromptOps ")
    one.kind = "gone.kind"
    assert told_of(one).text == "gone.kind"
    assert user_actor(team.editor).name == "Editor"
