"""The list of members, and one member: roles, removal, a way in for a lost password."""

import pytest
from django.conf import settings
from django.test import Client

from promptops.accounts.actors import SYSTEM
from promptops.accounts.models import Membership, Role, SignInLink, User
from promptops.accounts.policies import people_in_care_of
from promptops.accounts.services import add_member
from promptops.audit.querysets import events_of
from tests.html import HTMX, Page, csv_rows, signed_in
from tests.people import Team

LIST = "/p/team/settings/members/"


def membership(team: Team, role: str) -> Membership:
    return Membership.objects.get(project=team.project, user=getattr(team, role))


def page_of(team: Team, role: str, act: str = "") -> str:
    return f"{LIST}{membership(team, role).pk}/{act}"


def names(page: Page) -> list[str]:
    return [one.text for one in page.all("a", class_="row-link")]


@pytest.mark.parametrize("role", ["viewer", "editor", "reviewer"])
def test_every_member_sees_who_is_in_but_no_way_to_change_it(team: Team, role: str) -> None:
    client = signed_in(getattr(team, role))
    page = Page(client.get(LIST))
    assert names(page) == ["Admin", "Editor", "Owner", "Reviewer", "Viewer"]
    assert not page.content.all("form", method="post")
    one = Page(client.get(page_of(team, "admin")))
    assert "admin@team.example" in one.text
    assert not one.content.all("form", method="post")


def test_an_outsider_sees_nothing(team: Team) -> None:
    client = signed_in(team.outsider)
    for url in (LIST, f"{LIST}csv/", page_of(team, "admin")):
        Page(client.get(url), 404)
    strange = f"/p/team-elsewhere/settings/members/{membership(team, 'admin').pk}/"
    Page(client.get(strange), 404)  # a member of another project under one's own


def test_it_searches_and_sorts_as_a_fragment(team: Team) -> None:
    client = signed_in(team.viewer)
    page = Page(client.get(LIST, {"sort": "-role"}, headers=HTMX))
    assert not page.is_whole
    assert names(page) == ["Owner", "Admin", "Reviewer", "Editor", "Viewer"]
    assert names(Page(client.get(LIST, {"q": "EDIT team.example"}))) == ["Editor"]
    empty = Page(client.get(LIST, {"q": "nobody at all"}))
    assert "Nobody found" in empty.text
    assert names(Page(client.get(LIST, {"sort": "'; drop", "q": "\x00"}))) == names(Page(client.get(LIST)))


def test_it_pages_through_many(team: Team) -> None:
    for number in range(60):
        user = User.objects.create(email=f"p{number}@team.example", name=f"Person {number:02}")
        Membership.objects.create(project=team.project, user=user, role=Role.VIEWER)
    client = signed_in(team.viewer)
    first = Page(client.get(LIST))
    second = Page(client.get(f"{LIST}{first.link('Next')}"))
    assert len(names(first)) == 50
    assert len(names(second)) == 15
    assert not set(names(first)) & set(names(second))


def test_it_exports_csv(team: Team) -> None:
    User.objects.filter(pk=team.editor.pk).update(name="=HYPERLINK(1)")
    rows = csv_rows(signed_in(team.viewer).get(f"{LIST}csv/?sort=role&q=editor@"))
    assert rows[0] == ["name", "email", "role", "since", "user_id"]
    assert [row[:3] for row in rows[1:]] == [["'=HYPERLINK(1)", "editor@team.example", "editor"]]


def test_it_asks_as_often_however_many_there_are(team: Team, django_assert_max_num_queries: object) -> None:
    client = signed_in(team.admin)
    with django_assert_max_num_queries(11):  # type: ignore[operator]
        client.get(LIST)
    for number in range(20):
        user = User.objects.create(email=f"p{number}@team.example", name=f"Person {number:02}")
        Membership.objects.create(project=team.project, user=user, role=Role.VIEWER)
    with django_assert_max_num_queries(11):  # type: ignore[operator]
        client.get(LIST)


# --- Roles -----------------------------------------------------------------------------------------------------------


def test_an_admin_changes_a_role(team: Team) -> None:
    client = signed_in(team.admin)
    page = Page(client.get(page_of(team, "editor")))
    assert page.values()["role"] == "editor"
    page = Page(client.post(page_of(team, "editor", "role/"), {"role": "reviewer"}, follow=True))
    assert page.notices() == ["Editor has the role “Reviewer” now."]
    assert membership(team, "editor").role == "reviewer"
    event = events_of(team.project.pk, action="member.role_changed").get()
    assert (event.user_id, event.target_id) == (team.admin.pk, str(team.editor.pk))


@pytest.mark.parametrize("wanted", ["owner", "king", ""])
def test_it_gives_no_role_that_cannot_be_given(team: Team, wanted: str) -> None:
    page = Page(signed_in(team.owner).post(page_of(team, "editor", "role/"), {"role": wanted}), 422)
    assert page.errors()
    assert membership(team, "editor").role == "editor"


@pytest.mark.parametrize("target", ["owner", "admin"])
def test_the_owner_and_oneself_stay_as_they_are(team: Team, target: str) -> None:
    client = signed_in(team.admin)
    page = Page(client.get(page_of(team, target)))
    assert not page.content.all(id="role-title")
    assert "not allowed" in Page(client.post(page_of(team, target, "role/"), {"role": "viewer"}), 403).text
    assert "not allowed" in Page(client.post(page_of(team, target, "remove/")), 403).text
    assert membership(team, target).role == target


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("editor", 403), ("reviewer", 403), ("outsider", 404)])
@pytest.mark.parametrize("act", ["role/", "remove/", "link/"])
def test_only_admins_change_members(team: Team, role: str, status: int, act: str) -> None:
    client = signed_in(getattr(team, role))
    answer = client.post(page_of(team, "viewer" if role != "viewer" else "editor", act), {"role": "admin"})
    assert answer.status_code == status
    assert Membership.objects.filter(project=team.project).count() == 5
    assert not SignInLink.objects.exists()


def test_an_admin_elsewhere_changes_nobody_here(team: Team) -> None:
    client = signed_in(team.outsider)
    pk = membership(team, "viewer").pk
    for act in ("role/", "remove/", "link/"):
        url = f"/p/team-elsewhere/settings/members/{pk}/{act}"
        assert client.post(url, {"role": "admin"}).status_code == 404
    assert membership(team, "viewer").role == "viewer"


def test_changing_needs_the_csrf_token(team: Team) -> None:
    client = signed_in(team.admin, enforce_csrf_checks=True)
    for act in ("role/", "remove/", "link/"):
        assert client.post(page_of(team, "viewer", act), {"role": "editor"}).status_code == 403
    assert membership(team, "viewer").role == "viewer"


def test_whoever_is_removed_is_out_at_once(team: Team) -> None:
    theirs = signed_in(team.editor)
    assert theirs.get("/p/team/").status_code == 200
    page = Page(signed_in(team.admin).post(page_of(team, "editor", "remove/"), follow=True))
    assert page.notices() == ["Editor is no longer in the project."]
    assert "editor@team.example" not in page.text
    assert theirs.get("/p/team/").status_code == 404
    assert "You are not in a project yet" in Page(theirs.get("/", follow=True)).text


def test_the_owner_hands_the_project_over_and_stays_as_an_admin(team: Team) -> None:
    client = signed_in(team.owner)
    page = Page(client.post(page_of(team, "editor", "hand-over/"), follow=True))
    assert page.notices() == ["Editor owns the project now; you are an admin of it."]
    assert (membership(team, "editor").role, membership(team, "owner").role) == ("owner", "admin")
    actions = list(events_of(team.project.pk, user_id=team.owner.pk).values_list("action", "target_id")[:2])
    assert actions == [("project.handed_over", str(team.editor.pk)), ("member.role_changed", str(team.owner.pk))]
    assert client.post(page_of(team, "owner", "hand-over/")).status_code == 403
    assert signed_in(team.editor).post(page_of(team, "editor", "hand-over/")).status_code == 409


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("reviewer", 403), ("admin", 403), ("outsider", 404)])
def test_only_the_owner_hands_over(team: Team, role: str, status: int) -> None:
    assert signed_in(getattr(team, role)).post(page_of(team, "editor", "hand-over/")).status_code == status
    assert "Hand the project over" not in Page(signed_in(team.admin).get(page_of(team, "editor"))).text
    assert "Hand the project over" in Page(signed_in(team.owner).get(page_of(team, "editor"))).text
    assert membership(team, "owner").role == "owner"


# --- A way in for a lost password ------------------------------------------------------------------------------------


def test_an_admin_makes_a_link_that_signs_the_member_in(team: Team) -> None:
    client = signed_in(team.admin)
    answer = client.post(page_of(team, "editor", "link/"), headers=HTMX)
    page = Page(answer)
    assert not page.is_whole
    assert "no-store" in answer.headers["Cache-Control"]
    url = page.one("input", id="member-link").attributes["value"].removeprefix(settings.PUBLIC_URL)
    assert url not in Page(client.get(page_of(team, "editor"))).source

    theirs = Client()
    theirs.post(url)
    assert Page(theirs.get("/profile/")).values()["name"] == "Editor"
    event = events_of(team.project.pk, action="member.link_created").get()
    assert (event.user_id, event.target_id) == (team.admin.pk, str(team.editor.pk))


def test_nobody_gains_by_making_a_link(team: Team) -> None:
    """A link opens everything that the person reaches: it must not be a way into what the admin does not administer."""
    add_member(SYSTEM, team.elsewhere, team.editor, role="viewer")
    client = signed_in(team.admin)
    page = Page(client.get(page_of(team, "editor")))
    assert "reaches what you do not administer" in page.text
    for target in ("editor", "owner"):
        assert Page(client.post(page_of(team, target, "link/")), 403).text
    assert not SignInLink.objects.exists()

    User.objects.filter(pk=team.viewer.pk).update(is_installation_admin=True)
    assert client.post(page_of(team, "viewer", "link/")).status_code == 403


def test_whoever_runs_the_installation_helps_everybody(team: Team) -> None:
    add_member(SYSTEM, team.elsewhere, team.editor, role="viewer")
    assert team.owner.is_installation_admin  # the first person of the installation
    assert signed_in(team.owner).post(page_of(team, "editor", "link/")).status_code == 200
    User.objects.filter(pk=team.viewer.pk).update(is_active=False)
    assert signed_in(team.owner).post(page_of(team, "viewer", "link/")).status_code == 403


def test_a_token_and_the_system_have_nobody_in_care(team: Team) -> None:
    from promptops.accounts.actors import token_actor
    from promptops.accounts.tokens import authenticate

    assert not people_in_care_of(SYSTEM).exists()
    assert not people_in_care_of(token_actor(authenticate(team.token("admin")))).exists()
