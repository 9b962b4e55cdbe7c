"""Projects: where “/” leads, the list, the switcher, making one, its settings."""

import pytest
from django.test import Client
from django.utils import timezone

from promptops.accounts.actors import SYSTEM, user_actor
from promptops.accounts.models import Membership, Project
from promptops.accounts.services import add_member, create_project, create_user
from promptops.core.errors import Invalid
from tests.html import HTMX, Page, signed_in
from tests.people import Team

SETTINGS = "/p/team/settings/"


def test_home_leads_to_the_only_project_or_the_last_one_or_the_list(team: Team) -> None:
    client = signed_in(team.editor)
    assert client.get("/").headers["Location"] == "/p/team/"
    add_member(SYSTEM, team.elsewhere, team.editor, role="viewer")
    assert signed_in(team.editor).get("/").headers["Location"] == "/projects/"
    client.get("/p/team-elsewhere/settings/members/")
    assert client.get("/").headers["Location"] == "/p/team-elsewhere/"
    Membership.objects.filter(project=team.elsewhere, user=team.editor).delete()
    assert client.get("/").headers["Location"] == "/p/team/"
    assert Client().get("/").headers["Location"] == "/sign-in/?next=/"


def test_the_list_has_ones_own_projects_and_roles_only(team: Team) -> None:
    add_member(SYSTEM, team.elsewhere, team.editor, role="viewer")
    archived = create_project(user_actor(team.editor), name="Old one", slug="old")
    Project.objects.filter(pk=archived.pk).update(archived_at=timezone.now())
    page = Page(signed_in(team.editor).get("/projects/"))
    cards = [one.text for one in page.all("li", class_="project-card")]
    assert len(cards) == 2
    assert "Elsewhere team" in cards[0]
    assert "Viewer 2 people" in cards[0]
    assert "Editor 5 people" in cards[1]
    assert "Elsewhere" not in Page(signed_in(team.viewer).get("/projects/")).text


def test_the_switcher_marks_the_present_project(team: Team) -> None:
    add_member(SYSTEM, team.elsewhere, team.editor, role="viewer")
    page = Page(signed_in(team.editor).get("/project-switcher/?current=team", headers=HTMX))
    assert not page.is_whole
    assert page.one("a", aria_current="true").attributes["href"] == "/p/team/"
    assert "/p/team-elsewhere/" in page.links()
    assert "/p/team-elsewhere/" not in Page(signed_in(team.viewer).get("/project-switcher/")).links()


def test_an_archived_project_is_gone_for_everybody(team: Team) -> None:
    Project.objects.filter(pk=team.project.pk).update(archived_at=timezone.now())
    assert signed_in(team.owner).get("/p/team/").status_code == 404


# --- Making one ------------------------------------------------------------------------------------------------------


def test_whoever_makes_one_owns_it(team: Team) -> None:
    client = signed_in(team.viewer)
    answer = client.post("/projects/new/", {"name": "Support Bot", "slug": "", "description": "Helps."})
    assert answer.headers["Location"] == "/p/support-bot/"
    page = Page(client.get("/p/support-bot/"))
    assert page.notices() == ["The project “Support Bot” is ready."]
    assert "Helps." in page.text
    assert Membership.objects.get(project__slug="support-bot").role == "owner"
    assert signed_in(team.owner).get("/p/support-bot/").status_code == 404


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": " "}, "required"),
        ({"slug": "team"}, "Another project has, or had, this slug"),
        ({"slug": "Bad Slug"}, "Use lower-case letters"),
        ({"slug": "new"}, "Use lower-case letters"),
        ({"slug": "x" * 61}, "at most 60 characters"),
    ],
)
def test_it_refuses_with_the_form_as_it_was_typed(team: Team, change: dict[str, str], complaint: str) -> None:
    given = {"name": "Bot", "slug": "bot", "description": "what it is for", **change}
    client = signed_in(team.editor)
    for headers in ({}, HTMX):
        page = Page(client.post("/projects/new/", given, headers=headers), 422)
        assert page.is_whole == (headers == {})
        assert complaint in page.errors()
        assert page.values()["description"] == "what it is for"
        assert page.values()["slug"] == given["slug"]
    assert not Project.objects.filter(slug="bot").exists()


def test_an_htmx_form_is_led_on_by_a_header(team: Team) -> None:
    answer = signed_in(team.editor).post("/projects/new/", {"name": "Bot"}, headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/p/bot/")


@pytest.mark.django_db
def test_a_name_without_latin_letters_still_gives_a_slug() -> None:
    person = create_user(email="li@new.example", name="李明")
    client = signed_in(person)
    assert client.post("/projects/new/", {"name": "客服"}).headers["Location"] == "/p/project/"
    page = Page(client.post("/projects/new/", {"name": "第二"}), 422)
    assert "Another project has, or had, this slug" in page.errors()


# --- Settings --------------------------------------------------------------------------------------------------------


def test_an_admin_renames_it_and_goes_on_under_the_new_link(team: Team) -> None:
    client = signed_in(team.admin)
    assert Page(client.get(SETTINGS)).values()["slug"] == "team"
    answer = client.post(SETTINGS, {"name": "The Team", "slug": "the-team", "description": "d"})
    assert answer.headers["Location"] == "/p/the-team/settings/"
    assert "The Team" in Page(client.get("/p/the-team/")).text
    old = client.get("/p/team/settings/members/?x=1")
    assert (old.status_code, old.headers["Location"]) == (307, "/p/the-team/settings/members/?x=1")
    assert signed_in(team.outsider).get("/p/team/").status_code == 404
    with pytest.raises(Invalid):  # links that go on must not lead to strangers
        create_project(user_actor(team.outsider), name="Squatter", slug="team")
    team.project.refresh_from_db()
    assert (team.project.name, team.project.slug, team.project.description) == ("The Team", "the-team", "d")


@pytest.mark.parametrize("slug", ["", "team-elsewhere", "Bad Slug", "new"])
def test_a_refused_name_changes_nothing_also_in_the_frame(team: Team, slug: str) -> None:
    page = Page(signed_in(team.admin).post(SETTINGS, {"name": "Other", "slug": slug, "description": ""}), 422)
    assert page.errors()
    assert page.values()["name"] == "Other"
    assert "Project team" in page.one("details", class_="project-switcher").text
    assert all(link.startswith("/p/team/") for link in page.links() if link.startswith("/p/"))
    team.project.refresh_from_db()
    assert team.project.slug == "team"


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("reviewer", 403), ("outsider", 404)])
def test_only_admins_see_and_change_the_settings(team: Team, role: str, status: int) -> None:
    client = signed_in(getattr(team, role))
    assert client.get(SETTINGS).status_code == status
    assert client.post(SETTINGS, {"name": "Mine", "slug": "mine"}).status_code == status
    team.project.refresh_from_db()
    assert team.project.slug == "team"


def test_a_403_says_which_role_is_needed(team: Team) -> None:
    page = Page(signed_in(team.viewer).get(SETTINGS), 403)
    assert "needs the role “Admin” in the project; you have “Viewer”" in page.text


def test_settings_show_only_the_tabs_that_one_may_open(team: Team) -> None:
    tabs = {
        role: [
            one.text
            for one in Page(signed_in(getattr(team, role)).get(f"{SETTINGS}members/"))
            .one("nav", class_="object-tabs")
            .all("a")
        ]
        for role in ("viewer", "admin")
    }
    assert "Members" in tabs["viewer"]
    assert "API tokens" not in tabs["viewer"]
    assert {"Project", "Members", "API tokens", "Credentials", "Review", "Webhooks"} == set(tabs["admin"])
